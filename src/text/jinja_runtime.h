// What one render owns beside its output: the budget of work, the line being evaluated, and the
// makers of strings and containers, which charge the budget.
//
// TemplateError is thrown inside the engine only; chat_template.cpp turns it into a Result. One
// Runtime belongs to one render on one thread.
#pragma once

#include <fmt/format.h>

#include <ctime>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "octavo/result.h"
#include "text/jinja_limits.h"
#include "text/jinja_value.h"

namespace octavo::text::jinja {

struct TemplateError {
  ErrorKind kind = ErrorKind::invalid_input;
  int line = 0;  // 0: the message stands alone, as the template's author wrote it
  std::string message;
};

class Runtime {
 public:
  explicit Runtime(const std::tm& now) : now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const std::tm& now() const { return now_; }
  int line() const { return line_; }
  void set_line(int line) { line_ = line; }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw TemplateError{ErrorKind::invalid_input, line_,
                        fmt::format(format, std::forward<Args>(args)...)};
  }
  // The error for using `value` where only a defined one makes sense; nothing for a defined one.
  void require_defined(const Value& value) const;

  void charge(uint64_t work);  // fails when the budget is spent
  // Charges `count` pieces of `work` each, before anything of that size is made.
  void charge_each(uint64_t count, uint64_t work);
  // For searching: at worst every place of `text` is compared with all of `what`, some 64 bytes at
  // a time.
  void charge_search(const std::string& text, const std::string& what);
  void enter();  // one level of evaluation deeper; fails at max_render_depth
  void leave() { --depth_; }

  Value string(std::string text);
  Value undefined(std::string reason);
  Value list(std::vector<Value> items, bool is_tuple = false);
  Value tuple(Value first, Value second);
  Value dict(Entries entries);  // of equal keys the last value stays, in the first one's place
  Namespace* make_namespace();

 private:
  void check_depth(int depth) const;

  std::tm now_;
  int line_ = 1;
  int depth_ = 0;
  uint64_t work_left_ = max_work;
  std::deque<Namespace> namespaces_;
};

}  // namespace octavo::text::jinja
