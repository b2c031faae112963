// LineAssembler: from lines as they are typed to messages, which may have several lines.
//
// A line that ends in a backslash goes on in the next one. A line of """ alone opens a block, the
// next such line closes it, and what is between is taken as it is. No terminal, no state beyond the
// message in progress.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace octavo::cli {

class LineAssembler {
 public:
  // Takes the next line, without its newline; gives the message when it is complete.
  std::optional<std::string> feed(std::string_view line);
  // A message has begun and is not complete.
  bool in_progress() const { return in_block_ || continued_; }
  void clear();
  // What there is of a message when the input ends in the middle of it.
  std::string take();

 private:
  void append(std::string_view line);

  std::string message_;
  bool is_empty_ = true;   // no line was appended
  bool in_block_ = false;  // between two lines of """
  bool continued_ = false;
};

}  // namespace octavo::cli
