// The alphabet of byte-level BPE vocabularies (GPT-2's): every byte is spelled as one printable
// character, so that a vocabulary file is text and no token holds a space or a control character.
//
// Bytes that are printable in Latin-1 stand for themselves; the other 68 take U+0100 upwards in
// ascending order. Pure functions over constant tables, safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace octavo::text {

// The character that spells `byte`, as UTF-8.
std::string_view alphabet_character(uint8_t byte);

// Appends the spelling of every byte of `bytes`.
void append_in_alphabet(std::string& out, std::string_view bytes);

// Appends the bytes that `spelling` stands for and returns true; returns false and appends nothing
// when it holds a character outside the alphabet.
bool append_from_alphabet(std::string& out, std::string_view spelling);

}  // namespace octavo::text
