// What commands read beside their flags: amounts of memory, and whole files.
//
// Stateless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/result.h"

namespace octavo::cli {

// "1048576", "1024KiB", "1MiB", "1M" (all the same amount), up to T and TiB; K, M, G and T are
// powers of 1024 too.
Result<int64_t> parse_bytes(std::string_view text);

// The longest text file that a command reads into memory.
inline constexpr size_t max_input_bytes = size_t{1} << 30;

// The whole file at `path`, or standard input for "-"; with `limit`, no more than its first bytes.
// Longer than max_input_bytes is an error.
Result<std::string> read_input(const std::string& path, size_t limit = 0);

}  // namespace octavo::cli
