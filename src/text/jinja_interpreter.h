// Renders a parsed template: walks its statements and evaluates their expressions.
//
// One Interpreter belongs to one render on one thread; it borrows the template and the Runtime.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_builtins.h"
#include "text/jinja_runtime.h"

namespace octavo::text::jinja {

// The variables of a template, a loop's round, a macro's call or a with block.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::map<std::string, Value, std::less<>> variables;
};

class Interpreter {
 public:
  explicit Interpreter(Runtime& runtime);

  void set_variable(const std::string& name, Value value);
  // The text that `block` renders to. Throws TemplateError.
  std::string render(const Block& block);

 private:
  enum class Flow { next, break_loop, continue_loop };
  class ScopeGuard;

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow run(const TextStatement& statement);
  Flow run(const OutputStatement& statement);
  Flow run(const SetStatement& statement);
  Flow run(const SetBlockStatement& statement);
  Flow run(const IfStatement& statement);
  Flow run(const ForStatement& statement);
  Flow run(const MacroStatement& statement);
  Flow run(const CallBlockStatement& statement);
  Flow run(const FilterBlockStatement& statement);
  Flow run(const WithStatement& statement);
  Flow run(const BreakStatement& statement);
  Flow run(const ContinueStatement& statement);

  Value evaluate(const Expression& expression);
  Value evaluate_optional(const ExpressionPtr& expression);  // undefined for null
  Value value_of(const Literal& node);
  Value value_of(const Name& node);
  Value value_of(const ListLiteral& node);
  Value value_of(const DictLiteral& node);
  Value value_of(const Attribute& node);
  Value value_of(const Subscript& node);
  Value value_of(const Slice& node);
  Value value_of(const Call& node);
  Value value_of(const Filter& node);
  Value value_of(const Test& node);
  Value value_of(const Not& node);
  Value value_of(const Sign& node);
  Value value_of(const Arithmetic& node);
  Value value_of(const Logic& node);
  Value value_of(const Concat& node);
  Value value_of(const Compare& node);
  Value value_of(const Conditional& node);

  CallArguments evaluate(const Arguments& arguments);
  Value call(const Value& callee, CallArguments arguments);
  Value call_macro(const Function& function, CallArguments arguments);
  Value macro_value(const MacroStatement& macro);
  std::shared_ptr<const List> loop_items(const ForStatement& statement);
  void assign(const Target& target, const Value& value);
  void write(std::string_view text);
  // Runs `block` with its output going into `text`.
  Flow capture(const Block& block, std::string& text);

  Runtime& runtime_;
  std::shared_ptr<Scope> outermost_;
  std::shared_ptr<Scope> scope_;
  std::string* out_ = nullptr;
  Value captured_;  // what a filter or set block hands to its filters
};

}  // namespace octavo::text::jinja
