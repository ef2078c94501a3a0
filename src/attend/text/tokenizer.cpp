#include "attend/text/tokenizer.hpp"

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"
#include "attend/text/pipeline.hpp"

namespace attend {

Tokenizer Tokenizer::from_json(std::string_view bytes) {
  TokenizerFile file = read_tokenizer_json(bytes);
  Tokenizer tokenizer(std::make_shared<const Pipeline>(std::move(file.parts)));
  tokenizer.truncation_ = file.truncation;
  tokenizer.padding_ = std::move(file.padding);
  return tokenizer;
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  constexpr int64_t max_bytes = int64_t{1} << 30;
  const auto file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  const std::string bytes = read_file(file, max_bytes);
  try {
    return from_json(bytes);
  } catch (const FormatError& error) {
    fail<FormatError>("{}: {}", file.string(), error.what());
  } catch (const Unsupported& error) {
    fail<Unsupported>("{}: {}", file.string(), error.what());
  }
}

std::string Tokenizer::to_json() const { return write_tokenizer_json(pipeline_->parts(), truncation_, padding_); }

void Tokenizer::save(const std::filesystem::path& path) const { write_file(path, to_json()); }

Encoding Tokenizer::finish(Encoding first, Encoding* second, EncodeOptions options) const {
  if (truncation_) {
    Truncation truncation = *truncation_;
    if (options.add_special_tokens) truncation.max_length -= pipeline_->special_tokens_added(second != nullptr);
    truncate(first, second, truncation);
  }
  std::vector<Encoding> texts;
  texts.push_back(std::move(first));
  if (second) texts.push_back(std::move(*second));
  return pipeline_->finish(std::move(texts), options.add_special_tokens);
}

Encoding Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<Encoding> batch;
  batch.push_back(finish(pipeline_->encode(text, 0, options.ids_only), nullptr, options));
  if (padding_) pad_batch(batch, *padding_);
  return std::move(batch[0]);
}

Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second, EncodeOptions options) const {
  Encoding other = pipeline_->encode(second, 1, options.ids_only);
  std::vector<Encoding> batch;
  batch.push_back(finish(pipeline_->encode(first, 0, options.ids_only), &other, options));
  if (padding_) pad_batch(batch, *padding_);
  return std::move(batch[0]);
}

std::vector<Encoding> Tokenizer::encode_batch(std::span<const std::string> texts, EncodeOptions options) const {
  std::vector<Encoding> batch;
  batch.reserve(texts.size());
  for (const std::string& text : texts)
    batch.push_back(finish(pipeline_->encode(text, 0, options.ids_only), nullptr, options));
  if (padding_) pad_batch(batch, *padding_);
  return batch;
}

std::vector<int32_t> Tokenizer::encode_ids(std::string_view text, bool add_special_tokens) const {
  return encode(text, {.add_special_tokens = add_special_tokens, .ids_only = true}).ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return pipeline_->decode(ids, skip_special_tokens);
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  const int32_t id = pipeline_->token_to_id(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  const std::string* token = pipeline_->token(id);
  return token ? std::optional(*token) : std::nullopt;
}

int32_t Tokenizer::vocab_size() const noexcept { return pipeline_->vocab_size(); }

const std::vector<AddedToken>& Tokenizer::added_tokens() const noexcept { return pipeline_->parts().added_tokens; }

bool Tokenizer::is_special(int32_t id) const noexcept { return pipeline_->is_special(id); }

std::vector<TokenMerge> Tokenizer::merges() const { return pipeline_->parts().model->merges(); }

namespace {

bool is_incomplete(std::string_view text) { return text.ends_with("\uFFFD"); }

}  // namespace

std::optional<std::string> DecodeStream::step(int32_t id) {
  if (prefix_.empty() && !ids_.empty()) {
    std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
    if (!is_incomplete(text)) {
      prefix_ = std::move(text);
      prefix_ids_ = ids_.size();
    }
  }
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  if (text.size() <= prefix_.size() || is_incomplete(text)) return std::nullopt;
  // A decoder may treat the start of a text differently, so the ids given out last stay as context for the next ones.
  std::string fresh = text.starts_with(prefix_) ? text.substr(prefix_.size()) : text;
  const size_t next_prefix_ids = ids_.size() - prefix_ids_;
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(prefix_ids_));
  prefix_ = tokenizer_.decode(ids_, skip_special_tokens_);
  prefix_ids_ = next_prefix_ids;
  return fresh;
}

std::string DecodeStream::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  std::string rest = text.size() > prefix_.size() && text.starts_with(prefix_) ? text.substr(prefix_.size()) : "";
  ids_.clear();
  prefix_.clear();
  prefix_ids_ = 0;
  return rest;
}

std::string clean_up_tokenization(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  std::string result(text);
  for (const auto& [from, to] : rules) {
    std::string next;
    size_t done = 0;
    for (size_t at = result.find(from); at != std::string::npos; at = result.find(from, done)) {
      next.append(result, done, at - done).append(to);
      done = at + from.size();
    }
    next.append(result, done);
    result = std::move(next);
  }
  return result;
}

}  // namespace attend
