// Every limit of the template engine, in one place. A template comes out of a model file, and the
// messages it renders out of a request: neither may crash the process, hang it or eat its memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace octavo::text::jinja {

inline constexpr size_t max_source_bytes = size_t{1} << 20;
inline constexpr size_t max_output_bytes = size_t{64} << 20;

// One budget bounds time and memory of a render: whatever is evaluated or made is charged to it.
// The whole of it is a second or so, or some 200 MiB, at the very worst.
inline constexpr uint64_t max_work = uint64_t{1} << 29;
inline constexpr uint64_t byte_work = 4;   // a byte of text made; a byte looked at counts as 1
inline constexpr uint64_t node_work = 16;  // a statement or expression evaluated once
inline constexpr uint64_t item_work = 64;  // an element put into a list or dict

// Recursion. Parsing: brackets, blocks and prefix operators inside each other. Operators of one
// expression: a chain a + b + c makes a tree as deep as it is long. Rendering: statements and
// expressions being evaluated inside each other, through macro calls too. Values: lists and dicts
// inside each other, in the messages as well.
inline constexpr int max_parse_depth = 120;
inline constexpr int max_expression_operators = 500;
inline constexpr int max_render_depth = 1200;
inline constexpr int max_value_depth = 100;

}  // namespace octavo::text::jinja
