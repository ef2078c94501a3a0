#include <attend/nn/layers.hpp>

namespace attend {

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(Tensor::zeros({out, in})) {
  if (with_bias) bias = Tensor::zeros({out});
}

Norm::Norm(int64_t width, NormOptions norm_options) : options(norm_options), weight(Tensor::full({width}, 1)) {
  if (options.kind == NormKind::layer) bias = Tensor::zeros({width});
}

Tensor FeedForward::operator()(Pass& pass, const Tensor& x) const {
  Pass::Scope scope(pass, "ffn");
  Tensor hidden = pass.observe("hidden", up(x, activation));
  hidden = attend::dropout(hidden, pass.dropout(dropout, "activation"));
  return pass.observe("out", down(hidden));
}

}  // namespace attend
