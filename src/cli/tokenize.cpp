#include "cli/tokenize.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/utf8.h"

namespace octavo::cli {
namespace {

// A piece between quotation marks, fit for a terminal.
std::string quoted(std::string_view piece) {
  std::string out = "\"";
  for (size_t at = 0; at < piece.size();) {
    const size_t length = utf8_sequence_length(piece.substr(at));
    const auto byte = static_cast<unsigned char>(piece[at]);
    const bool is_c1_control =
        length == 2 && byte == 0xC2 && static_cast<unsigned char>(piece[at + 1]) < 0xA0;
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte == '\r') {
      out += "\\r";
    } else if (byte == '"' || byte == '\\') {
      out += {'\\', piece[at]};
    } else if (length == 0 || byte < 0x20 || byte == 0x7F || is_c1_control) {
      for (size_t i = 0; i < std::max<size_t>(length, 1); ++i) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(piece[at + i]));
      }
    } else {
      out += piece.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  return out + "\"";
}

std::string as_table(const text::Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string out;
  for (const int32_t id : ids) {
    out += fmt::format("{:>8}  {}{}\n", id, quoted(tokenizer.piece(id)),
                       tokenizer.is_special(id) ? "  special" : "");
  }
  return out + fmt::format("{} token{}\n", ids.size(), ids.size() == 1 ? "" : "s");
}

std::string as_json(const text::Tokenizer& tokenizer, std::span<const int32_t> ids) {
  nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
  for (const int32_t id : ids) {
    const std::string_view piece = tokenizer.piece(id);
    const std::string shown = replace_invalid_utf8(piece);
    nlohmann::ordered_json token = {
        {"id", id}, {"piece", shown}, {"special", tokenizer.is_special(id)}};
    if (shown != piece) {
      token["bytes"] = std::vector<uint8_t>(piece.begin(), piece.end());
    }
    tokens.push_back(std::move(token));
  }
  const nlohmann::ordered_json result = {{"count", ids.size()}, {"tokens", std::move(tokens)}};
  return result.dump() + "\n";
}

}  // namespace

std::string format_tokens(const text::Tokenizer& tokenizer, std::span<const int32_t> ids,
                          TokenFormat format) {
  switch (format) {
    case TokenFormat::ids:
      return fmt::format("{}\n", fmt::join(ids, " "));
    case TokenFormat::json:
      return as_json(tokenizer, ids);
    case TokenFormat::table:
      break;
  }
  return as_table(tokenizer, ids);
}

}  // namespace octavo::cli
