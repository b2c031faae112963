#include "cli/line_assembler.h"

#include <utility>

namespace octavo::cli {
namespace {

bool is_block_mark(std::string_view line) {
  const size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) return false;
  const size_t end = line.find_last_not_of(" \t");
  return line.substr(start, end - start + 1) == "\"\"\"";
}

}  // namespace

void LineAssembler::append(std::string_view line) {
  if (!is_empty_) message_ += '\n';
  message_ += line;
  is_empty_ = false;
}

std::optional<std::string> LineAssembler::feed(std::string_view line) {
  if (is_block_mark(line) && !continued_) {
    in_block_ = !in_block_;
    if (in_block_) return std::nullopt;
    return take();
  }
  if (in_block_) {
    append(line);
    return std::nullopt;
  }
  continued_ = line.ends_with('\\');
  if (continued_) line.remove_suffix(1);
  append(line);
  if (continued_) return std::nullopt;
  return take();
}

void LineAssembler::clear() {
  *this = LineAssembler();
}

std::string LineAssembler::take() {
  return std::exchange(*this, LineAssembler()).message_;
}

}  // namespace octavo::cli
