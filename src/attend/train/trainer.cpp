#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/data/prefetch.hpp>
#include <attend/io/checkpoint.hpp>
#include <attend/models/family.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/train/trainer.hpp>
#include <attend/train/translator_folder.hpp>
#include <attend/train/validation.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>

namespace attend {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

nlohmann::ordered_json json_of(TrainOptions options) { return options_json(options_of(options)); }

// What a resumed run must have in common with the one it goes on from: all but what changes no weight.
nlohmann::json identity_of(const TrainOptions& options) {
  TrainOptions copy = options;
  copy.output.clear();
  copy.recompute = false;
  copy.keep = copy.log_every = copy.prefetch = 1;
  return json_of(std::move(copy));
}

// The newest good checkpoint, which the recipe must fit; nothing if this is the start.
std::optional<Checkpoint> starting_point(const CheckpointStore& store, const TrainOptions& options, bool resume,
                                         const std::function<void(const std::string&)>& message) {
  if (!resume && !store.list().empty())
    fail<ConfigError>("train: {} has checkpoints already; go on with --resume or choose another output",
                      options.output);
  std::vector<std::string> damaged;
  std::optional<Checkpoint> latest = store.latest(&damaged);
  for (const std::string& text : damaged) message("passed over: " + text);
  if (!latest) return latest;
  const fs::path state = latest->path / "state.json";
  TrainOptions then;  // an option that did not exist then had its default
  apply_json(options_of(then), Config::read(state).require<nlohmann::json>("recipe"), state.string());
  if (const auto difference = nlohmann::json::diff(identity_of(then), identity_of(options)); !difference.empty()) {
    auto key = difference.at(0).at("path").get<std::string>().substr(1);
    std::replace(key.begin(), key.end(), '/', '.');
    fail<ConfigError>("train: this recipe is not the one of {}: {} differs", latest->path.string(), key);
  }
  return latest;
}

// A process killed while it wrote, or a full disk, may have left half a line.
void cut_half_line(const fs::path& file) {
  if (!fs::exists(file)) return;
  constexpr uint64_t longest_line = 65536;
  const uint64_t size = fs::file_size(file), begin = size - std::min(size, longest_line);
  std::string tail(size - begin, '\0');
  std::ifstream(file).seekg(static_cast<std::streamoff>(begin)).read(tail.data(), std::ssize(tail));
  const size_t end = tail.rfind('\n') + 1;  // 0 if there is none
  if (end < tail.size()) fs::resize_file(file, begin + end);
}

class Run {
 public:
  Run(const TrainOptions& options, const TrainHooks& hooks, bool resume)
      : options_(options),
        hooks_(hooks),
        folder_(options.output),
        store_(folder_ / "checkpoints", static_cast<int>(std::max(options.keep, options.average)),
               options.checkpoint_every),
        latest_(starting_point(store_, options, resume, [&](const std::string& text) { message(text); })),
        data_((create_folders(folder_),
               open_translation_data(options, folder_, latest_.has_value(), [&](const auto& text) { message(text); }))),
        // A resumed run has its weights in the checkpoint.
        model_(options.from.empty() || latest_
                   ? new_translator(options.model, data_.tokenizer, static_cast<uint64_t>(options.seed))
                   : translator_from(options.from, options.model, data_.tokenizer)),
        schedule_{options.schedule, options.warmup, options.steps, options.model.width} {
    model_.set_trainable(true);
    optimiser_.emplace(parameters(model_), options.optimiser);
    BatchOptions batches{.layout = data_.layout,
                         .max_tokens = options.batch_tokens,
                         .pool = options.data.pool,
                         .seed = static_cast<uint64_t>(options.seed),
                         .splits = data_.splits,
                         .max_length = options.model.max_length};
    batches_ = std::make_unique<Prefetch>(std::make_unique<TrainingBatches>(data_.sources, batches),
                                          static_cast<int>(options.prefetch));
    cut_half_line(folder_ / "log.jsonl");
    if (latest_)
      restore(*latest_);
    else
      write_json_file(folder_ / "recipe.json", json_of(options));
    message(fmt::format("{} parameters, {} threads, {} kernels{}", model_.parameter_count(),
                        Context::current().pool().threads(), Context::current().kernels().level,
                        latest_ ? fmt::format("; going on from step {}", step_) : ""));
  }

  TrainReport run() {
    TrainReport report;
    window_start_ = Clock::now();
    while (step_ < options_.steps && !out_of_patience()) {
      train_step();
      const bool last = step_ == options_.steps;
      if (step_ % options_.log_every == 0 || last) log_progress();
      if (!data_.validation.empty() && (step_ % options_.validation.every == 0 || last)) validate();
      const bool stop = hooks_.should_stop && hooks_.should_stop();
      if (step_ % options_.checkpoint_every == 0 || last || stop || out_of_patience()) save();
      if (stop && !last) break;
    }
    report.step = step_;
    report.stopped_early = out_of_patience();
    report.finished = step_ == options_.steps || report.stopped_early;
    if (report.finished) write_translator(folder_ / "last", averaged(), data_.tokenizer, DType::f32);
    if (best_) report.best = *best_;
    return report;
  }

 private:
  void message(const std::string& text) const {
    if (hooks_.on_message) hooks_.on_message(text);
  }

  bool out_of_patience() const { return options_.patience > 0 && since_best_ >= options_.patience; }

  // One step: the gradient of the mean loss over the target tokens of all its batches.
  void train_step() {
    std::vector<PackedBatch> batches;
    int64_t targets = 0;
    for (int64_t i = 0; i < options_.accumulation; ++i) {
      batches.push_back(*batches_->next());
      targets += batches.back().target_tokens();
    }
    const ProductPrecision precision(options_.precision);
    Gradients gradients;
    double loss = 0;
    for (size_t i = 0; i < batches.size(); ++i) {
      const PackedBatch& batch = batches[i];
      Pass pass =
          Pass::training(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(step_) * batches.size() + i);
      pass.recompute = options_.recompute;
      Tape tape;
      const Tensor part =
          model_.loss(pass, {batch.source_ids, {batch.source_offsets, batch.source_positions}},
                      {batch.decoder_ids, {batch.target_offsets, batch.target_positions}}, batch.labels,
                      {.label_smoothing = options_.label_smoothing, .count = static_cast<double>(targets)});
      tape.backward(part, gradients);
      loss += part.item();
      tokens_ += batch.source_tokens() + batch.target_tokens();
    }
    freeze_padding(gradients);
    const double rate = options_.learning_rate * schedule_(step_);
    const double norm = optimiser_->step(gradients, rate);
    ++step_;
    window_loss_ += loss;
    ++window_steps_;
    last_rate_ = rate;
    last_norm_ = norm;
  }

  // The padding row starts the decoder as zeros; as a row of the tied output matrix it would get a gradient.
  void freeze_padding(const Gradients& gradients) {
    const int64_t pad = model_.config().pad;
    gradients.of(parameter_named(model_, "embedding"))
        .rows(pad, pad + 1)
        .assign(Tensor::zeros({model_.config().width}));
  }

  void log_progress() {
    const double seconds = std::max(1e-9, seconds_since(window_start_));
    const double per_step = seconds / static_cast<double>(std::max<int64_t>(1, window_steps_));
    TrainProgress progress{.step = step_,
                           .steps = options_.steps,
                           .loss = window_loss_ / static_cast<double>(std::max<int64_t>(1, window_steps_)),
                           .learning_rate = last_rate_,
                           .gradient_norm = last_norm_,
                           .tokens_per_second = static_cast<double>(tokens_ - window_tokens_) / seconds,
                           .tokens = tokens_,
                           .seconds_left = per_step * static_cast<double>(options_.steps - step_)};
    log({{"step", progress.step},
         {"loss", progress.loss},
         {"learning_rate", progress.learning_rate},
         {"gradient_norm", progress.gradient_norm},
         {"tokens_per_second", progress.tokens_per_second},
         {"tokens", progress.tokens}});
    if (hooks_.on_progress) hooks_.on_progress(progress);
    window_loss_ = 0;
    window_steps_ = 0;
    window_tokens_ = tokens_;
    window_start_ = Clock::now();
  }

  void validate() {
    const auto start = Clock::now();
    Transformer model = averaged();
    model.set_trainable(false);
    model.pack();
    Validation validation{step_, validate_translator(model, data_, options_), 0, false};
    const std::string& first = data_.validation.front().name;
    int64_t count = 0;
    for (const ValidationScore& score : validation.scores)
      if (score.name == first) validation.value += options_.validation.translate ? score.chrf : -score.loss, ++count;
    validation.value /= static_cast<double>(std::max<int64_t>(1, count));
    validation.best = !best_ || validation.value > best_->value;
    since_best_ = validation.best ? 0 : since_best_ + 1;
    if (validation.best) {
      best_ = validation;
      write_translator(folder_ / "best", model, data_.tokenizer, DType::f32);
    }
    for (const ValidationScore& score : validation.scores)
      log({{"step", step_},
           {"validation", score.name},
           {"to", score.to},
           {"validation_loss", score.loss},
           {"bleu", score.bleu},
           {"chrf", score.chrf},
           {"best", validation.best}});
    if (hooks_.on_validation) hooks_.on_validation(validation);
    window_start_ += Clock::now() - start;  // the rate is that of training
  }

  // The checkpoints before this step whose weights count: regular ones, so that a stop on the way changes nothing.
  std::vector<SafeTensors> earlier_weights() const {
    std::vector<SafeTensors> files;
    const std::vector<Checkpoint> checkpoints = store_.list();
    int64_t last = step_;
    for (auto it = checkpoints.rbegin(); it != checkpoints.rend() && std::ssize(files) + 1 < options_.average; ++it) {
      if (it->step >= last || it->step % options_.checkpoint_every != 0) continue;
      try {
        verify_checkpoint(it->path);
        files.push_back(SafeTensors::open(it->path / "model.safetensors"));
        last = it->step;
      } catch (const FormatError& error) {
        message(fmt::format("left out of the average: {}", error.what()));
      }
    }
    return files;
  }

  // The model as it is given away: the mean of the present weights and the earlier ones.
  Transformer averaged() const {
    Transformer mean(model_.config());
    const std::vector<SafeTensors> files = earlier_weights();
    const auto now = parameters(const_cast<Transformer&>(model_));
    const auto then = parameters(mean);
    for (size_t i = 0; i < now.size(); ++i) {
      const Tensor& to = *then[i].tensor;
      const float share = 1.0f / static_cast<float>(files.size() + 1);
      auto add = [&](const Tensor& from, float beta) {
        ops::run(to.device(), &kernels::KernelTable::axpby,
                 kernels::Axpby{to.elements(), share, ops::f32(from, "average: weight"), beta,
                                ops::f32(to, "average: mean")});
      };
      add(*now[i].tensor, 0);
      for (const SafeTensors& file : files) add(file.tensor(now[i].name), 1);
    }
    forbid_padding(mean);
    return mean;
  }

  void save() {
    store_.save(step_, [&](const fs::path& folder) {
      NamedTensors weights;
      for (const Parameter& parameter : parameters(model_)) weights.emplace_back(parameter.name, *parameter.tensor);
      save_safetensors(folder / "model.safetensors", weights);
      save_safetensors(folder / "optimiser.safetensors", optimiser_->state());
      nlohmann::json state;
      state["step"] = step_;
      state["tokens"] = tokens_;
      state["batches"] = batches_->state();
      state["recipe"] = identity_of(options_);
      state["since_best"] = since_best_;
      state["log_window"] = {{"loss", window_loss_}, {"steps", window_steps_}};
      if (best_) state["best"] = {{"step", best_->step}, {"value", best_->value}};
      write_json_file(folder / "state.json", state);
    });
  }

  void restore(const Checkpoint& checkpoint) {
    const Config state = Config::read(checkpoint.path / "state.json");
    const SafeTensors weights = SafeTensors::open(checkpoint.path / "model.safetensors");
    for (const Parameter& parameter : parameters(model_)) {
      const Tensor saved = weights.tensor(parameter.name);
      if (saved.shape() != parameter.tensor->shape())
        fail<FormatError>("{}: '{}' is {}, not {}", weights.file_name(), parameter.name, saved.shape(),
                          parameter.tensor->shape());
      parameter.tensor->assign(saved);
    }
    step_ = state.require<int64_t>("step");
    tokens_ = window_tokens_ = state.require<int64_t>("tokens");
    since_best_ = state.require<int64_t>("since_best");
    const Config window = state.object("log_window");
    window_loss_ = window.require<double>("loss");
    window_steps_ = window.require<int64_t>("steps");
    if (state.has("best")) {
      const Config best = state.object("best");
      best_ = Validation{best.require<int64_t>("step"), {}, best.require<double>("value"), true};
    }
    optimiser_->restore(SafeTensors::open(checkpoint.path / "optimiser.safetensors"), step_);
    batches_->restore(state.require<nlohmann::json>("batches"));
    log({{"step", step_}, {"resumed", true}});
  }

  void log(const nlohmann::ordered_json& line) const {
    std::ofstream file(folder_ / "log.jsonl", std::ios::app);
    file << line.dump() << '\n';
    if (!file.flush()) fail<SystemError>("{}: cannot write the log", (folder_ / "log.jsonl").string());
  }

  const TrainOptions options_;
  const TrainHooks& hooks_;
  const fs::path folder_;
  CheckpointStore store_;
  const std::optional<Checkpoint> latest_;  // what the run goes on from
  TranslationData data_;
  Transformer model_;
  Schedule schedule_;
  std::optional<AdamW> optimiser_;
  std::unique_ptr<BatchSource> batches_;

  int64_t step_ = 0, tokens_ = 0, since_best_ = 0;
  std::optional<Validation> best_;
  double window_loss_ = 0, last_rate_ = 0, last_norm_ = 0;
  int64_t window_steps_ = 0, window_tokens_ = 0;
  Clock::time_point window_start_;
};

}  // namespace

TrainReport train_translator(const TrainOptions& options, const TrainHooks& hooks, bool resume) {
  if (options.precision == Precision::int8)
    fail<ConfigError>("train: int8 is for finished models; precision is f32 or bf16");
  return Run(options, hooks, resume).run();
}

}  // namespace attend
