// attend train: a model from a recipe.
#include <attend/train/trainer.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "commands.hpp"

namespace attend::cli {
namespace {

struct TrainFlags {
  TrainOptions train;
  bool resume = false;

  static void fields(auto& self, auto&& f) {
    f("resume", self.resume,
      Doc{.en = "go on from the newest checkpoint", .ko = "가장 새로운 체크포인트에서 이어서 학습"});
    TrainOptions::fields(self.train, f);
  }
};

// The first Ctrl-C (or a service's stop) asks for a checkpoint, the second one ends the process as usual.
volatile std::sig_atomic_t stop_requested = 0;
void request_stop(int) {
  stop_requested = 1;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

std::string duration(double seconds) {
  const auto total = static_cast<int64_t>(seconds);
  if (total >= 3600) return fmt::format("{}h{:02}m", total / 3600, total / 60 % 60);
  return fmt::format("{}m{:02}s", total / 60, total % 60);
}

std::string text_of(const TrainProgress& p) {
  return fmt::format("step {}/{}  loss {:.4f}  lr {:.2e}  norm {:.2f}  {:.0f} tokens/s  {:.2f}M tokens  left {}",
                     p.step, p.steps, p.loss, p.learning_rate, p.gradient_norm, p.tokens_per_second,
                     static_cast<double>(p.tokens) * 1e-6, duration(p.seconds_left));
}

std::string text_of(const Validation& v, const ValidationScore& score) {
  return fmt::format("step {}  {} → {}: loss {:.4f}  chrF {:.2f}  BLEU {:.2f}{}", v.step, score.name, score.to,
                     score.loss, score.chrf, score.bleu, v.best ? "  (best so far)" : "");
}

void run(TrainFlags& flags, Call& call) {
  // On a terminal the progress line replaces itself; in a pipe every line stays.
  const bool terminal = isatty(STDOUT_FILENO);
  bool open_line = false;
  auto line = [&](const std::string& text) {
    if (open_line) call.out.write("\r\x1b[K");
    open_line = false;
    call.out.line(text);
    call.out.flush();
  };
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  TrainHooks hooks;
  hooks.on_message = line;
  hooks.on_progress = [&](const TrainProgress& progress) {
    if (!terminal) return line(text_of(progress));
    call.out.write("\r\x1b[K" + text_of(progress));
    call.out.flush();
    open_line = true;
  };
  hooks.on_validation = [&](const Validation& validation) {
    for (const ValidationScore& score : validation.scores) line(text_of(validation, score));
  };
  hooks.should_stop = [] { return stop_requested != 0; };
  const TrainReport report = train_translator(flags.train, hooks, flags.resume);
  if (!report.finished) return line(fmt::format("stopped at step {}; go on with --resume", report.step));
  if (report.stopped_early) line(fmt::format("no gain in {} validations", flags.train.patience));
  line(fmt::format("done at step {}: {}", report.step,
                   report.best
                       ? fmt::format("the best model (step {}) is in {}/best", report.best->step, flags.train.output)
                       : fmt::format("the model is in {}/last", flags.train.output)));
}

}  // namespace

Command train_command() {
  return make_command<TrainFlags>("train", "",
                                  {"Train a translator from a recipe.", "설정 파일로 번역 모델을 학습합니다."},
                                  "attend train --config recipes/en-ko.toml", run);
}

}  // namespace attend::cli
