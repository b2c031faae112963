// Text as Python sees it: strings of code points, held as UTF-8. Pure functions.
//
// Letters beyond ASCII keep their case: Python's full case tables are not worth their size here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::text::jinja {

size_t code_point_count(std::string_view text);
// Where each code point of `text` lies. Malformed bytes count as one each.
std::vector<std::string_view> code_points(std::string_view text);

// `count` code points from the one with the index `first`; fewer where the text ends.
std::string_view code_point_range(std::string_view text, size_t first, size_t count);

bool is_space(char32_t c);             // Python's str.isspace()
bool is_blank(std::string_view text);  // nothing but spaces, or nothing at all
// Without spaces (or without the code points in `chars`, unless null) at the ends asked for.
std::string_view strip(std::string_view text, const std::string_view* chars, bool left, bool right);
// How often `what` lies in `text` without overlaps; as in Python, an empty one does everywhere.
size_t occurrences(std::string_view text, std::string_view what);
// `from` replaced by `to`, at most `limit` times; negative: everywhere.
std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit);

std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);

std::string python_float(double value);           // repr() of a float
std::string python_quote(std::string_view text);  // repr() of a str
std::string json_quote(std::string_view text, bool ascii_only);

}  // namespace octavo::text::jinja
