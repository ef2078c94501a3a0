#include "attend/text/pipeline.hpp"

#include <algorithm>

#include "attend/base/error.hpp"

namespace attend {

class Pipeline::Lease {
 public:
  explicit Lease(const Pipeline& pipeline) : pipeline_(pipeline) {
    {
      std::lock_guard lock(pipeline.mutex_);
      if (!pipeline.idle_.empty()) {
        work_ = std::move(pipeline.idle_.back());
        pipeline.idle_.pop_back();
      }
    }
    if (!work_) {
      work_ = std::make_unique<Workspace>();
      work_->scratch = pipeline.parts_.model->make_scratch();
    }
  }
  ~Lease() {
    std::lock_guard lock(pipeline_.mutex_);
    pipeline_.idle_.push_back(std::move(work_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Workspace& operator*() const noexcept { return *work_; }

 private:
  const Pipeline& pipeline_;
  std::unique_ptr<Workspace> work_;
};

Pipeline::Pipeline(PipelineParts parts)
    : parts_(std::move(parts)),
      normalizer_(make_normalizer(parts_.normalizer)),
      pre_tokenizer_(make_pre_tokenizer(parts_.pre_tokenizer)),
      finish_(make_post_processor(parts_.post_processor)),
      decoder_(make_decoder(parts_.decoder)) {
  vocab_size_ = parts_.model->vocabulary().id_end();
  // A token that the model knows too keeps the model's id.
  for (AddedToken& token : parts_.added_tokens)
    if (const int32_t id = parts_.model->vocabulary().find(token.content); id >= 0) token.id = id;
  std::sort(parts_.added_tokens.begin(), parts_.added_tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (const AddedToken& token : parts_.added_tokens) {
    if (token.id < 0 || token.id > Vocabulary::max_id)
      fail<FormatError>("tokenizer: added token {} has id {}, outside 0 … {}", token.content, token.id,
                        Vocabulary::max_id);
    vocab_size_ = std::max(vocab_size_, token.id + 1);
    added_by_content_.emplace(token.content, token.id);
    if (token.special) special_ids_.insert(token.id);
    if (!token.normalized) {
      raw_tokens_.add(token, token.content);
      added_text_.emplace(token.id, token.content);
      continue;
    }
    AlignedText content(false), normalized(false);
    content.append(token.content, {});
    if (normalizer_)
      normalizer_->apply(content, 0, content.size(), normalized);
    else
      normalized = std::move(content);
    normalized_tokens_.add(token, normalized.view());
    added_text_.emplace(token.id, normalized.view());
  }
}

Pieces Pipeline::pieces_of(std::string_view text, bool aligned) const {
  AlignedText whole(aligned);
  whole.append_original(text, 0);
  Pieces pieces(aligned);
  AlignedText& out = pieces.text;
  raw_tokens_.split(text, [&](size_t begin, size_t end, int32_t id) {
    const size_t start = out.size();
    if (id >= 0 || !normalizer_)
      out.append(whole, begin, end);
    else
      normalizer_->apply(whole, begin, end, out);
    auto add = [&](size_t piece_begin, size_t piece_end, int32_t token) {
      pieces.list.push_back({static_cast<uint32_t>(piece_begin), static_cast<uint32_t>(piece_end), token});
    };
    if (id >= 0) return add(start, out.size(), id);
    normalized_tokens_.split(out.view(start, out.size()),
                             [&](size_t from, size_t to, int32_t token) { add(start + from, start + to, token); });
  });
  if (pre_tokenizer_) pre_tokenizer_->split(pieces);
  return pieces;
}

void Pipeline::tokenize(std::string_view piece, bool byte_level, Workspace& work) const {
  if (!WordCache::accepts(piece)) return parts_.model->tokenize(piece, byte_level, *work.scratch, work.tokens);
  const WordCache::Key key = WordCache::key(piece);
  if (work.cache.find(key, work.tokens)) return;
  const size_t before = work.tokens.ids.size();
  parts_.model->tokenize(piece, byte_level, *work.scratch, work.tokens);
  work.cache.store(key, work.tokens.ids.data() + before, work.tokens.lengths.data() + before,
                   work.tokens.ids.size() - before);
}

Encoding Pipeline::encode(std::string_view text, int32_t sequence, bool ids_only) const {
  const Pieces pieces = pieces_of(text, !ids_only);
  const Lease lease(*this);
  Workspace& work = *lease;
  Encoding encoding;
  encoding.ids_only = ids_only;
  if (ids_only) encoding.ids.reserve(pieces.list.size() * 2);
  int32_t word = 0;
  for (const Piece& piece : pieces.list) {
    const std::string_view view = pieces.text.view(piece.begin, piece.end);
    work.tokens.clear();
    if (piece.token >= 0) {
      encoding.add(piece.token, ids_only ? std::string() : std::string(view),
                   pieces.text.origin(piece.begin, piece.end), word, sequence, sequence, false);
    } else {
      tokenize(view, pieces.byte_level, work);
      if (ids_only) {
        encoding.ids.insert(encoding.ids.end(), work.tokens.ids.begin(), work.tokens.ids.end());
        continue;
      }
      size_t begin = piece.begin;
      for (size_t i = 0; i < work.tokens.ids.size(); ++i) {
        const int32_t id = work.tokens.ids[i];
        const size_t end = begin + work.tokens.lengths[i];
        encoding.add(id, *parts_.model->vocabulary().token(id), pieces.text.origin(begin, end), word, sequence,
                     sequence, false);
        begin = end;
      }
    }
    ++word;
  }
  return encoding;
}

Encoding Pipeline::finish(std::vector<Encoding> texts, bool add_special_tokens) const {
  if (finish_) finish_->process(texts, add_special_tokens);
  if (texts.empty()) return {};
  Encoding result = std::move(texts[0]);
  for (size_t i = 1; i < texts.size(); ++i) result.append(texts[i]);
  return result;
}

std::string Pipeline::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string* found = token(id);
    if (found && !(skip_special_tokens && is_special(id))) tokens.push_back(*found);
  }
  if (decoder_) decoder_->decode(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!decoder_ && i > 0) text += ' ';
    text += tokens[i];
  }
  return text;
}

int32_t Pipeline::token_to_id(std::string_view token) const noexcept {
  const auto added = added_by_content_.find(token);
  return added != added_by_content_.end() ? added->second : parts_.model->vocabulary().find(token);
}

const std::string* Pipeline::token(int32_t id) const noexcept {
  const auto added = added_text_.find(id);
  return added != added_text_.end() ? &added->second : parts_.model->vocabulary().token(id);
}

}  // namespace attend
