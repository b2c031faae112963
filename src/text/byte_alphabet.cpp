#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace octavo::text {
namespace {

constexpr char32_t first_substitute = 0x100;
constexpr char32_t code_point_count = first_substitute + 68;

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int, code_point_count> bytes;  // -1 where the code point is not in the alphabet
};

Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t substitute = first_substitute;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const char32_t code_point = printable ? static_cast<char32_t>(byte) : substitute++;
    append_utf8(alphabet.characters[static_cast<size_t>(byte)], code_point);
    alphabet.bytes[code_point] = byte;
  }
  return alphabet;
}

const Alphabet& alphabet() {
  static const Alphabet made = make_alphabet();
  return made;
}

}  // namespace

std::string_view alphabet_character(uint8_t byte) {
  return alphabet().characters[byte];
}

void append_in_alphabet(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) out += alphabet_character(static_cast<uint8_t>(byte));
}

bool append_from_alphabet(std::string& out, std::string_view spelling) {
  const Alphabet& table = alphabet();
  const size_t size_before = out.size();
  for (size_t at = 0; at < spelling.size();) {
    const std::string_view rest = spelling.substr(at);
    const size_t length = utf8_sequence_length(rest);
    const char32_t code_point = length == 0 ? code_point_count : decode_utf8(rest, length);
    if (code_point >= code_point_count || table.bytes[code_point] < 0) {
      out.resize(size_before);
      return false;
    }
    out += static_cast<char>(table.bytes[code_point]);
    at += length;
  }
  return true;
}

}  // namespace octavo::text
