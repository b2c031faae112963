#include "text/spm_model.h"

#include <bit>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo::text {
namespace {

constexpr const char* scores_key = "tokenizer.ggml.scores";

// Numbers whose ascending order is the scores' descending order.
uint32_t priority_of(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0F);  // + 0 makes the two zeros equal
  const uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
  return ~ascending;
}

// The first place from `at` on that is not a space.
size_t skip_spaces(std::string_view text, size_t at) {
  while (text.substr(at, visible_space.size()) == visible_space) at += visible_space.size();
  return at;
}

std::string normalise(std::string_view text, bool space_prefix) {
  std::string out;
  out.reserve(text.size() + text.size() / 2 + visible_space.size());
  if (space_prefix) out += visible_space;
  for (const char c : text) {
    if (c == ' ') {
      out += visible_space;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<SubwordModel>> SpmModel::create(const gguf::Metadata& metadata,
                                                       const Vocabulary& vocabulary) {
  std::unique_ptr<SpmModel> model(new SpmModel(vocabulary));
  OCTAVO_ASSIGN(const std::vector<float> scores, metadata.f32s(scores_key));
  if (scores.size() != static_cast<size_t>(vocabulary.size())) {
    return invalid_input("{}: {}: {} scores for {} tokens", metadata.source(), scores_key,
                         scores.size(), vocabulary.size());
  }
  model->priorities_.reserve(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      return invalid_input("{}: {}: the score of token {} is not a number", metadata.source(),
                           scores_key, i);
    }
    model->priorities_.push_back(priority_of(scores[i]));
    const auto id = static_cast<int32_t>(i);
    if (vocabulary.is_ordinary(id)) model->note_inner_spaces(vocabulary.text(id));
  }
  OCTAVO_ASSIGN(model->add_space_prefix_,
                metadata.boolean_or("tokenizer.ggml.add_space_prefix", true));
  return std::unique_ptr<SubwordModel>(std::move(model));
}

void SpmModel::encode(std::string_view text, bool at_start, std::vector<int32_t>& out) const {
  if (text.empty()) return;
  const std::string normalised = normalise(text, at_start && add_space_prefix_);
  Merger merger;
  for (std::string_view rest = normalised; !rest.empty();) {
    const size_t length = word_length(rest);
    encode_word(rest.substr(0, length), merger, out);
    rest.remove_prefix(length);
  }
}

void SpmModel::note_inner_spaces(std::string_view token) {
  size_t at = skip_spaces(token, 0);
  while ((at = token.find(visible_space, at)) != std::string_view::npos) {
    precedes_inner_space_[static_cast<uint8_t>(token[at - 1])] = true;
    at = skip_spaces(token, at);
  }
}

// Bytes up to the next space that begins a word. No merge can reach over such a space from the
// character before it, so that words can be merged one by one, which is the same and needs less
// memory.
size_t SpmModel::word_length(std::string_view text) const {
  size_t at = skip_spaces(text, 0);
  while ((at = text.find(visible_space, at)) != std::string_view::npos) {
    if (!precedes_inner_space_[static_cast<uint8_t>(text[at - 1])]) return at;
    at = skip_spaces(text, at);
  }
  return text.size();
}

void SpmModel::encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const {
  merger.clear();
  for (size_t at = 0; at < word.size();) {
    const size_t length = utf8_sequence_length(word.substr(at));
    // A byte that is not part of a character is a symbol of its own.
    const std::string_view symbol = word.substr(at, length == 0 ? 1 : length);
    int32_t id = vocabulary_.find(symbol);
    if (id != no_token && !vocabulary_.is_ordinary(id)) id = no_token;
    merger.add(symbol, id);
    at += symbol.size();
  }
  merger.merge([this](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
    const std::string_view both(left.text.data(), left.text.size() + right.text.size());
    const int32_t id = vocabulary_.find(both);
    if (id == no_token || !vocabulary_.is_ordinary(id)) return std::nullopt;
    return Merge{priorities_[static_cast<size_t>(id)], id};
  });
  merger.for_each([this, &out](const Symbol& symbol) {
    if (symbol.id != no_token) {
      out.push_back(symbol.id);
      return;
    }
    for (const char byte : symbol.text) {
      const int32_t id = vocabulary_.byte_token(static_cast<uint8_t>(byte));
      if (id != no_token) {
        out.push_back(id);
      } else if (vocabulary_.special().unknown) {
        out.push_back(*vocabulary_.special().unknown);
        return;
      }
    }
  });
}

}  // namespace octavo::text
