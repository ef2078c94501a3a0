// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): memory for time.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <functional>

namespace attend {

/// Runs `first` and returns its result. If a tape is active and `first` reads a tracked tensor, nothing that its
/// operations would keep is kept; the backward pass runs `again` under a tape of its own and differentiates that.
/// `again` must own the tensors it reads (capture them by value) and compute the bits that `first` did; whatever else
/// `first` did (shown to a probe, say) it need not repeat. Gradients are then the same bits as without: the steps and
/// their order are. The extra cost is one forward run.
Tensor recompute(const std::function<Tensor()>& first, std::function<Tensor()> again);

}  // namespace attend
