#include "text/bpe_model.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"

namespace octavo::text {
namespace {

constexpr const char* merges_key = "tokenizer.ggml.merges";
constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// The finaliser of MurmurHash3: every bit of the key moves every bit of the result.
uint64_t mix(uint64_t key) {
  key = (key ^ key >> 33) * 0xFF51AFD7ED558CCDULL;
  key = (key ^ key >> 33) * 0xC4CEB9FE1A85EC53ULL;
  return key ^ key >> 33;
}

std::string with_visible_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
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

Result<std::unique_ptr<SubwordModel>> BpeModel::create(const gguf::Metadata& metadata,
                                                       const Vocabulary& vocabulary,
                                                       PreTokenizer pre_tokenizer) {
  std::unique_ptr<BpeModel> model(new BpeModel(vocabulary, std::move(pre_tokenizer)));
  OCTAVO_TRY(model->load_merges(metadata));
  return std::unique_ptr<SubwordModel>(std::move(model));
}

Result<void> BpeModel::load_merges(const gguf::Metadata& metadata) {
  OCTAVO_ASSIGN(const std::vector<std::string>* merges, metadata.strings(merges_key));
  if (merges->size() > size_t{1} << 30) {
    return invalid_input("{}: {}: {} merges", metadata.source(), merges_key, merges->size());
  }
  slots_.resize(std::bit_ceil(std::max<size_t>(merges->size() * 2, 2)));
  std::string both;
  for (size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string_view line = (*merges)[rank];
    // The separator is not the first character: with visible spaces a token may begin with one.
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size()) {
      return invalid_input("{}: {}: entry {} is '{}', expected two tokens with a space between",
                           metadata.source(), merges_key, rank, printable(line));
    }
    const std::string_view left = line.substr(0, space);
    const std::string_view right = line.substr(space + 1);
    both.assign(left);
    both += right;
    const int32_t left_id = vocabulary_.find(left);
    const int32_t right_id = vocabulary_.find(right);
    const int32_t merged_id = vocabulary_.find(both);
    if (left_id == no_token || right_id == no_token || merged_id == no_token) {
      return invalid_input("{}: {}: entry {} is '{}', but '{}' is not a token", metadata.source(),
                           merges_key, rank, printable(line),
                           printable(left_id == no_token    ? left
                                     : right_id == no_token ? right
                                                            : std::string_view(both)));
    }
    Slot& target = slot(left_id, right_id);
    if (target.pair == empty_pair) {  // of a pair that is listed twice the first entry counts
      target = {pair_of(left_id, right_id), {static_cast<uint32_t>(rank), merged_id}};
    }
  }
  return {};
}

BpeModel::Slot& BpeModel::slot(int32_t left, int32_t right) {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = slots_.size() - 1;
  size_t at = mix(pair) & mask;
  while (slots_[at].pair != empty_pair && slots_[at].pair != pair) at = (at + 1) & mask;
  return slots_[at];
}

std::optional<Merge> BpeModel::find_merge(int32_t left, int32_t right) const {
  if (left == no_token || right == no_token) return std::nullopt;
  const uint64_t pair = pair_of(left, right);
  const size_t mask = slots_.size() - 1;
  for (size_t at = mix(pair) & mask; slots_[at].pair != empty_pair; at = (at + 1) & mask) {
    if (slots_[at].pair == pair) return slots_[at].merge;
  }
  return std::nullopt;
}

void BpeModel::encode(std::string_view text, bool /*at_start*/, std::vector<int32_t>& out) const {
  std::string normalised;
  if (vocabulary_.spelling() == Spelling::visible_space) {
    normalised = with_visible_spaces(text);
    text = normalised;
  } else if (!has_all_bytes(text)) {
    normalised = with_known_bytes(text);
    text = normalised;
  }
  Merger merger;
  std::string scratch;
  for (const std::string_view word : pre_tokenizer_.split(text)) {
    const int32_t id = whole_word(word, scratch);
    if (id != no_token) {
      out.push_back(id);
    } else {
      encode_word(word, merger, out);
    }
  }
}

bool BpeModel::has_all_bytes(std::string_view text) const {
  return std::all_of(text.begin(), text.end(), [this](char byte) {
    return vocabulary_.byte_token(static_cast<uint8_t>(byte)) != no_token;
  });
}

// `text` with U+FFFD for each character, or byte outside one, that the vocabulary can not spell.
std::string BpeModel::with_known_bytes(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence_length(text.substr(at));
    const std::string_view character = text.substr(at, length == 0 ? 1 : length);
    out += has_all_bytes(character) ? character : replacement_character;
    at += character.size();
  }
  return out;
}

// The token that is all of `word`, for the models that take it before any merge: those whose
// pre-tokenizer says so, and Gemma 4 for runs of line breaks, which no merge makes.
int32_t BpeModel::whole_word(std::string_view word, std::string& scratch) const {
  int32_t id = no_token;
  if (vocabulary_.spelling() == Spelling::visible_space) {
    if (word[0] == '\n') id = vocabulary_.find(word);
  } else if (pre_tokenizer_.ignore_merges() && word.size() <= vocabulary_.longest_text_bytes()) {
    scratch.clear();
    append_in_alphabet(scratch, word);
    id = vocabulary_.find(scratch);
  }
  return id != no_token && vocabulary_.is_ordinary(id) ? id : no_token;
}

void BpeModel::encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const {
  merger.clear();
  if (vocabulary_.spelling() == Spelling::visible_space) {
    add_characters(word, merger);
  } else {
    for (size_t at = 0; at < word.size(); ++at) {
      merger.add(word.substr(at, 1), vocabulary_.byte_token(static_cast<uint8_t>(word[at])));
    }
  }
  merger.merge(
      [this](const Symbol& left, const Symbol& right) { return find_merge(left.id, right.id); });
  merger.for_each([this, &out](const Symbol& symbol) { append_symbol(symbol, out); });
}

void BpeModel::add_characters(std::string_view word, Merger& merger) const {
  for (size_t at = 0; at < word.size();) {
    const size_t length = utf8_sequence_length(word.substr(at));
    const std::string_view character = word.substr(at, length == 0 ? 1 : length);
    const int32_t id = vocabulary_.find(character);
    merger.add(character, id != no_token && vocabulary_.is_ordinary(id) ? id : no_token);
    at += character.size();
  }
}

void BpeModel::append_symbol(const Symbol& symbol, std::vector<int32_t>& out) const {
  if (symbol.id != no_token) {
    out.push_back(symbol.id);
    return;
  }
  for (const char byte : symbol.text) {
    const int32_t id = vocabulary_.byte_token(static_cast<uint8_t>(byte));
    if (id != no_token) out.push_back(id);
  }
}

}  // namespace octavo::text
