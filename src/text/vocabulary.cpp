#include "text/vocabulary.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"
#include "text/byte_alphabet.h"

namespace octavo::text {
namespace {

constexpr const char* tokens_key = "tokenizer.ggml.tokens";
constexpr const char* token_type_key = "tokenizer.ggml.token_type";

// The value of a hexadecimal digit, or -1.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that "<0x0A>" names, or -1.
int named_byte(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = hex_value(text[3]);
  const int low = hex_value(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string with_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const bool is_space = text.substr(at, visible_space.size()) == visible_space;
    out += is_space ? ' ' : text[at];
    at += is_space ? visible_space.size() : 1;
  }
  return out;
}

}  // namespace

void StringArena::reserve(size_t strings, size_t bytes) {
  ends_.reserve(strings + 1);
  bytes_.reserve(bytes);
}

void StringArena::add(std::string_view text) {
  bytes_ += text;
  ends_.push_back(bytes_.size());
}

Result<Vocabulary> Vocabulary::load(const gguf::Metadata& metadata, Spelling spelling,
                                    const SpecialDefaults& defaults) {
  Vocabulary vocabulary;
  vocabulary.spelling_ = spelling;
  OCTAVO_TRY(vocabulary.load_texts(metadata));
  OCTAVO_TRY(vocabulary.load_kinds(metadata));
  OCTAVO_ASSIGN(vocabulary.special_, load_special_tokens(metadata, vocabulary, defaults));
  // Whatever the file calls them: a user's text must not end the model's turn.
  for (const int32_t id : vocabulary.special_.end_of_generation) {
    if (vocabulary.is_ordinary(id)) vocabulary.kinds_[static_cast<size_t>(id)] = TokenKind::control;
  }
  OCTAVO_TRY(vocabulary.make_pieces(metadata.source()));
  vocabulary.find_byte_tokens();
  return vocabulary;
}

Result<void> Vocabulary::load_texts(const gguf::Metadata& metadata) {
  OCTAVO_ASSIGN(const std::vector<std::string>* tokens, metadata.strings(tokens_key));
  if (tokens->empty() || tokens->size() > size_t{1} << 30) {
    return invalid_input("{}: {}: {} tokens", metadata.source(), tokens_key, tokens->size());
  }
  size_t bytes = 0;
  for (const std::string& token : *tokens) bytes += token.size();
  texts_.reserve(tokens->size(), bytes);
  slots_.resize(std::bit_ceil(tokens->size() * 2));
  const size_t mask = slots_.size() - 1;
  for (const std::string& token : *tokens) {
    const auto id = static_cast<int32_t>(texts_.size());
    texts_.add(token);
    longest_text_bytes_ = std::max(longest_text_bytes_, token.size());
    if (token.empty()) continue;  // a hole in the numbering, which no text can reach
    const uint64_t hash = XXH3_64bits(token.data(), token.size());
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t at = hash & mask;
    for (; slots_[at].id != no_token; at = (at + 1) & mask) {
      if (slots_[at].tag == tag && text(slots_[at].id) == token) {
        return invalid_input("{}: {}: '{}' is both token {} and token {}", metadata.source(),
                             tokens_key, printable(token), slots_[at].id, id);
      }
    }
    slots_[at] = {tag, id};
  }
  return {};
}

Result<void> Vocabulary::load_kinds(const gguf::Metadata& metadata) {
  kinds_.assign(texts_.size(), TokenKind::normal);
  if (!metadata.has(token_type_key)) return {};
  OCTAVO_ASSIGN(const std::vector<int32_t> types, metadata.i32s(token_type_key));
  if (types.size() != kinds_.size()) {
    return invalid_input("{}: {}: {} entries for {} tokens", metadata.source(), token_type_key,
                         types.size(), kinds_.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    switch (types[i]) {
      case 0:  // undefined: nothing is known against it
      case 1:
        break;
      case 2:
        kinds_[i] = TokenKind::unknown;
        break;
      case 3:
        kinds_[i] = TokenKind::control;
        break;
      case 4:
        kinds_[i] = TokenKind::user_defined;
        break;
      case 5:
        kinds_[i] = TokenKind::unused;
        break;
      case 6:
        kinds_[i] = TokenKind::byte;
        break;
      default:
        return invalid_input("{}: {}: token {} has the type {}, expected 0 to 6", metadata.source(),
                             token_type_key, i, types[i]);
    }
  }
  return {};
}

Result<void> Vocabulary::make_pieces(const std::string& source) {
  pieces_.reserve(texts_.size(), texts_.size() * 8);
  std::string decoded;
  for (int32_t id = 0; id < size(); ++id) {
    const bool spelled = kind(id) == TokenKind::normal || kind(id) == TokenKind::unused;
    if (kind(id) == TokenKind::byte) {
      const int byte = named_byte(text(id));
      if (byte < 0) {
        return invalid_input("{}: {}: token {} is a byte but is written '{}', expected <0x00>",
                             source, tokens_key, id, printable(text(id)));
      }
      pieces_.add(std::string(1, static_cast<char>(byte)));
    } else if (spelled && spelling_ == Spelling::visible_space) {
      pieces_.add(with_spaces(text(id)));
    } else if (spelled) {
      // Added tokens are sometimes called normal; they are not written in the alphabet.
      decoded.clear();
      pieces_.add(append_from_alphabet(decoded, text(id)) ? decoded : text(id));
    } else {
      pieces_.add(text(id));
    }
  }
  return {};
}

void Vocabulary::find_byte_tokens() {
  byte_tokens_.assign(256, no_token);
  for (int byte = 0; byte < 256; ++byte) {
    int32_t id = no_token;
    if (spelling_ == Spelling::byte_alphabet) {
      id = find(alphabet_character(static_cast<uint8_t>(byte)));
      // A user-defined token of one such character means the character, not the byte.
      if (id != no_token && kind(id) != TokenKind::normal) id = no_token;
    } else {
      id = find(fmt::format("<0x{:02X}>", byte));
      if (id == no_token) id = find(std::string(1, static_cast<char>(byte)));
    }
    byte_tokens_[static_cast<size_t>(byte)] = id;
  }
}

int32_t Vocabulary::find(std::string_view text_to_find) const {
  if (text_to_find.empty() || text_to_find.size() > longest_text_bytes_) return no_token;
  const uint64_t hash = XXH3_64bits(text_to_find.data(), text_to_find.size());
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id != no_token; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && text(slots_[at].id) == text_to_find) return slots_[at].id;
  }
  return no_token;
}

}  // namespace octavo::text
