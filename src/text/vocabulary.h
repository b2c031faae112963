// The tokens of a GGUF file: how each is written in the file, what bytes it stands for, of which
// kind it is, and which ones have a role (beginning, end, unknown).
//
// Owns copies of all strings, in two arenas; the views it hands out live as long as it does.
// Immutable after load, so safe to share between threads. Every id from the metadata was checked to
// be inside the vocabulary; an id passed in by a caller must be in [0, size()).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "octavo/result.h"
#include "text/special_tokens.h"

namespace octavo::text {

constexpr int32_t no_token = -1;

enum class TokenKind : uint8_t { normal, unknown, control, user_defined, unused, byte };

// How normal tokens are written in the file.
enum class Spelling {
  byte_alphabet,  // one character for each byte (text/byte_alphabet.h)
  visible_space,  // UTF-8 with U+2581 for a space; bytes have tokens of their own, "<0x0A>"
};

// The character U+2581 that stands for a space in Spelling::visible_space.
constexpr std::string_view visible_space = "\xE2\x96\x81";

// Many strings in one allocation.
class StringArena {
 public:
  void reserve(size_t strings, size_t bytes);
  void add(std::string_view text);
  size_t size() const { return ends_.size() - 1; }
  std::string_view operator[](size_t i) const {
    return std::string_view(bytes_).substr(ends_[i], ends_[i + 1] - ends_[i]);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_ = {0};
};

class Vocabulary {
 public:
  // Errors name the metadata key and the token at fault.
  static Result<Vocabulary> load(const gguf::Metadata& metadata, Spelling spelling,
                                 const SpecialDefaults& defaults);

  int32_t size() const { return static_cast<int32_t>(kinds_.size()); }
  Spelling spelling() const { return spelling_; }
  std::string_view text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  std::string_view piece(int32_t id) const { return pieces_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  // Control and unknown tokens: not text that the model wrote.
  bool is_special(int32_t id) const {
    return kind(id) == TokenKind::control || kind(id) == TokenKind::unknown;
  }
  // May stand for a stretch of ordinary text (so not control, unknown or byte).
  bool is_ordinary(int32_t id) const { return !is_special(id) && kind(id) != TokenKind::byte; }
  // The token that is written `text` in the file, or no_token.
  int32_t find(std::string_view text) const;
  // The token for one byte of text, or no_token.
  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  size_t longest_text_bytes() const { return longest_text_bytes_; }
  const SpecialTokens& special() const { return special_; }

 private:
  struct Slot {
    uint32_t tag = 0;  // the hash's high bits, so that most mismatches never touch the text
    int32_t id = no_token;
  };

  Result<void> load_texts(const gguf::Metadata& metadata);
  Result<void> load_kinds(const gguf::Metadata& metadata);
  Result<void> make_pieces(const std::string& source);
  void find_byte_tokens();

  Spelling spelling_ = Spelling::byte_alphabet;
  StringArena texts_;
  StringArena pieces_;
  std::vector<TokenKind> kinds_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::vector<int32_t> byte_tokens_;
  size_t longest_text_bytes_ = 0;
  SpecialTokens special_;
};

}  // namespace octavo::text
