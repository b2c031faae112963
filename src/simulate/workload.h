// Workload: the requests that a simulation serves. Their lengths, when they come, and which of
// their prompts begin alike.
//
// Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace octavo::simulate {

// A trace names the text of a prompt in pieces of this many tokens.
inline constexpr int32_t kPieceTokens = 512;

// Longer than any model's context. With it, no sum of lengths of a request leaves 32 bits.
inline constexpr int32_t kMostTokens = 1 << 25;

struct Request {
  double arrival_s = 0;
  int32_t prompt_length = 0;  // 1 to kMostTokens, as output_length
  int32_t output_length = 0;
  // Equal ids stand for equal text; piece i covers the prompt's tokens from i * kPieceTokens on,
  // the last one as many as are left. Empty: nobody else has this text.
  std::vector<int32_t> pieces;

  // Positions whose K and V are kept in the end: the last token is drawn and never computed.
  int32_t final_length() const { return prompt_length + output_length - 1; }
};

struct Workload {
  std::string name;               // for titles: "sharegpt", a trace's file name
  std::vector<Request> requests;  // in order of arrival
};

}  // namespace octavo::simulate
