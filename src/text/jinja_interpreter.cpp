#include "text/jinja_interpreter.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_operations.h"

namespace octavo::text::jinja {
namespace {

// One level of evaluation, left again when the level ends however it ends.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime) { runtime.enter(); }
  ~DepthGuard() { runtime_.leave(); }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Runtime& runtime_;
};

}  // namespace

// Opens a scope inside `parent` for as long as it lives. An error ends the whole render, so only
// the scope that a later statement can still see has to be right.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, std::shared_ptr<Scope> parent)
      : interpreter_(interpreter), outer_(std::move(interpreter.scope_)) {
    interpreter_.runtime_.charge(2 * item_work);
    interpreter_.scope_ = std::make_shared<Scope>(Scope{std::move(parent), {}});
  }
  explicit ScopeGuard(Interpreter& interpreter) : ScopeGuard(interpreter, interpreter.scope_) {}
  ~ScopeGuard() { interpreter_.scope_ = std::move(outer_); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> outer_;
};

Interpreter::Interpreter(Runtime& runtime)
    : runtime_(runtime), outermost_(std::make_shared<Scope>()), scope_(outermost_) {}

void Interpreter::set_variable(const std::string& name, Value value) {
  runtime_.charge(2 * item_work);
  scope_->variables.insert_or_assign(name, std::move(value));
}

std::string Interpreter::render(const Block& block) {
  std::string text;
  capture(block, text);
  return text;
}

// --- statements ---

void Interpreter::write(std::string_view text) {
  runtime_.charge(text.size());
  if (out_->size() + text.size() > max_output_bytes) {
    throw TemplateError{ErrorKind::resource, runtime_.line(),
                        fmt::format("the output is longer than {} bytes", max_output_bytes)};
  }
  *out_ += text;
}

Interpreter::Flow Interpreter::capture(const Block& block, std::string& text) {
  std::string* const outer = out_;
  out_ = &text;
  const Flow flow = execute(block);
  out_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  for (const Statement& statement : block) {
    const Flow flow = execute(statement);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  const DepthGuard depth(runtime_);
  runtime_.charge(node_work);
  runtime_.set_line(statement.line);
  return std::visit([this](const auto& node) { return run(node); }, statement.node);
}

Interpreter::Flow Interpreter::run(const TextStatement& statement) {
  write(statement.text);
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const OutputStatement& statement) {
  const Value value = evaluate(*statement.value);
  if (value.string()) {
    write(*value.string());
  } else {
    write(to_text(runtime_, value));
  }
  return Flow::next;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value object = value_of(Name{target.names[0]});
    Namespace* space = object.name_space();
    if (!space) runtime_.fail("'{}' is not a namespace", printable(target.names[0]));
    runtime_.charge(2 * item_work);
    space->attributes.insert_or_assign(target.attribute, value);
    return;
  }
  if (!target.unpacks) return set_variable(target.names[0], value);
  const auto items = items_of(runtime_, value);
  if (items->items.size() != target.names.size()) {
    runtime_.fail("{} values cannot be assigned to {} names", items->items.size(),
                  target.names.size());
  }
  for (size_t i = 0; i < target.names.size(); ++i) set_variable(target.names[i], items->items[i]);
}

Interpreter::Flow Interpreter::run(const SetStatement& statement) {
  assign(statement.target, evaluate(*statement.value));
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const SetBlockStatement& statement) {
  std::string text;
  {
    const ScopeGuard scope(*this);
    const Flow flow = capture(statement.body, text);
    if (flow != Flow::next) return flow;
  }
  Value value = runtime_.string(std::move(text));
  if (statement.filter) {
    captured_ = value;
    value = evaluate(*statement.filter);
  }
  assign(statement.target, value);
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const IfStatement& statement) {
  for (const auto& branch : statement.branches) {
    if (!branch.condition || truth(evaluate(*branch.condition))) return execute(branch.body);
  }
  return Flow::next;
}

// What the loop visits, without what its filter leaves out.
std::shared_ptr<const List> Interpreter::loop_items(const ForStatement& statement) {
  const auto all = items_of(runtime_, evaluate(*statement.iterable));
  if (!statement.filter) return all;
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    const ScopeGuard scope(*this);
    assign(statement.target, item);
    if (truth(evaluate(*statement.filter))) kept.push_back(item);
  }
  return std::get<std::shared_ptr<const List>>(runtime_.list(std::move(kept)).data);
}

Interpreter::Flow Interpreter::run(const ForStatement& statement) {
  const auto items = loop_items(statement);
  if (items->items.empty()) return execute(statement.otherwise);
  const auto loop = std::make_shared<Loop>();
  loop->items = items;
  if (Value(std::shared_ptr<const Loop>(loop)).depth() > max_value_depth) {
    runtime_.fail("loop objects nest deeper than {} levels", max_value_depth);
  }
  for (; loop->index < items->items.size(); ++loop->index) {
    const ScopeGuard scope(*this);
    runtime_.set_line(statement.iterable->line);
    set_variable("loop", Value(std::shared_ptr<const Loop>(loop)));
    assign(statement.target, items->items[loop->index]);
    if (execute(statement.body) == Flow::break_loop) break;
  }
  return Flow::next;
}

Value Interpreter::macro_value(const MacroStatement& macro) {
  runtime_.charge(4 * item_work);
  Function function;
  function.name = macro.name;
  function.macro = &macro;
  function.scope = scope_;
  return Value(std::make_shared<const Function>(std::move(function)));
}

Interpreter::Flow Interpreter::run(const MacroStatement& statement) {
  set_variable(statement.name, macro_value(statement));
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const CallBlockStatement& statement) {
  const auto& node = std::get<Call>(statement.call->node);
  const Value callee = evaluate(*node.callee);
  CallArguments arguments = evaluate(node.arguments);
  arguments.named.emplace_back("caller", macro_value(statement.caller));
  const Value value = call(callee, std::move(arguments));
  write(to_text(runtime_, value));
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const FilterBlockStatement& statement) {
  std::string text;
  {
    const ScopeGuard scope(*this);
    const Flow flow = capture(statement.body, text);
    if (flow != Flow::next) return flow;
  }
  captured_ = runtime_.string(std::move(text));
  const Value value = evaluate(*statement.filter);
  write(to_text(runtime_, value));
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const WithStatement& statement) {
  std::vector<Value> values;  // all evaluated outside of the new scope
  for (const auto& variable : statement.variables) values.push_back(evaluate(*variable.second));
  const ScopeGuard scope(*this);
  for (size_t i = 0; i < values.size(); ++i) assign(statement.variables[i].first, values[i]);
  return execute(statement.body);
}

Interpreter::Flow Interpreter::run(const BreakStatement& /*statement*/) {
  return Flow::break_loop;
}

Interpreter::Flow Interpreter::run(const ContinueStatement& /*statement*/) {
  return Flow::continue_loop;
}

// --- calls ---

CallArguments Interpreter::evaluate(const Arguments& arguments) {
  CallArguments values;
  for (const auto& argument : arguments.positional)
    values.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments.named) {
    values.named.emplace_back(name, evaluate(*argument));
  }
  return values;
}

Value Interpreter::call(const Value& callee, CallArguments arguments) {
  runtime_.require_defined(callee);
  const Function* function = callee.function();
  if (!function) runtime_.fail("a {} cannot be called", type_name(callee));
  if (function->macro) return call_macro(*function, std::move(arguments));
  return call_builtin(runtime_, function->name, *function->builtin, function->self,
                      std::move(arguments));
}

Value Interpreter::call_macro(const Function& function, CallArguments arguments) {
  const MacroStatement& macro = *function.macro;
  if (arguments.positional.size() > macro.parameters.size()) {
    runtime_.fail("macro '{}' takes at most {} arguments, not {}", macro.name,
                  macro.parameters.size(), arguments.positional.size());
  }
  const int line = runtime_.line();
  std::string text;
  {
    std::shared_ptr<Scope> definition = function.scope.lock();
    const ScopeGuard scope(*this, definition ? std::move(definition) : outermost_);
    for (size_t i = 0; i < macro.parameters.size(); ++i) {
      const auto& parameter = macro.parameters[i];
      const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                      [&](const auto& n) { return n.first == parameter.name; });
      Value value;
      if (i < arguments.positional.size()) {
        value = std::move(arguments.positional[i]);
      } else if (named != arguments.named.end()) {
        value = std::move(named->second);
        arguments.named.erase(named);
      } else if (parameter.fallback) {
        value = evaluate(*parameter.fallback);
      } else {
        value = runtime_.undefined(fmt::format("parameter '{}' was not provided", parameter.name));
      }
      set_variable(parameter.name, std::move(value));
    }
    for (auto& [name, value] : arguments.named) {
      if (name != "caller") {
        runtime_.fail("macro '{}' has no parameter '{}' left", macro.name, printable(name));
      }
      set_variable(name, std::move(value));
    }
    capture(macro.body, text);
  }
  runtime_.set_line(line);
  return runtime_.string(std::move(text));
}

// --- expressions ---

Value Interpreter::evaluate(const Expression& expression) {
  const DepthGuard depth(runtime_);
  runtime_.charge(node_work);
  runtime_.set_line(expression.line);
  return std::visit([this](const auto& node) { return value_of(node); }, expression.node);
}

Value Interpreter::evaluate_optional(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : Value();
}

Value Interpreter::value_of(const Literal& node) {
  return node.value;
}

Value Interpreter::value_of(const Name& node) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    const auto found = scope->variables.find(node.name);
    if (found != scope->variables.end()) return found->second;
  }
  const auto global = globals().find(node.name);
  if (global == globals().end()) {
    return runtime_.undefined(fmt::format("'{}' is undefined", printable(node.name)));
  }
  Function function;
  function.name = node.name;
  function.builtin = &global->second;
  return Value(std::make_shared<const Function>(std::move(function)));
}

Value Interpreter::value_of(const ListLiteral& node) {
  std::vector<Value> items;
  for (const auto& item : node.items) items.push_back(evaluate(*item));
  return runtime_.list(std::move(items), node.is_tuple);
}

Value Interpreter::value_of(const DictLiteral& node) {
  Entries entries;
  for (const auto& [key, value] : node.entries) {
    Value evaluated_key = evaluate(*key);
    entries.emplace_back(std::move(evaluated_key), evaluate(*value));
  }
  return runtime_.dict(std::move(entries));
}

Value Interpreter::value_of(const Attribute& node) {
  return attribute(runtime_, evaluate(*node.object), node.name);
}

Value Interpreter::value_of(const Subscript& node) {
  const Value object = evaluate(*node.object);
  return subscript(runtime_, object, evaluate(*node.index));
}

Value Interpreter::value_of(const Slice& node) {
  const Value object = evaluate(*node.object);
  const Value start = evaluate_optional(node.start);
  const Value stop = evaluate_optional(node.stop);
  return slice(runtime_, object, start, stop, evaluate_optional(node.step));
}

Value Interpreter::value_of(const Call& node) {
  const Value callee = evaluate(*node.callee);
  return call(callee, evaluate(node.arguments));
}

Value Interpreter::value_of(const Filter& node) {
  const int line = runtime_.line();
  const Value operand = node.operand ? evaluate(*node.operand) : captured_;
  CallArguments arguments = evaluate(node.arguments);
  runtime_.set_line(line);
  return apply_filter(runtime_, node.name, operand, std::move(arguments));
}

Value Interpreter::value_of(const Test& node) {
  const Value operand = evaluate(*node.operand);
  return Value(apply_predicate(runtime_, node.name, operand, evaluate(node.arguments)));
}

Value Interpreter::value_of(const Not& node) {
  return Value(!truth(evaluate(*node.operand)));
}

Value Interpreter::value_of(const Sign& node) {
  return with_sign(runtime_, evaluate(*node.operand), node.is_negative);
}

Value Interpreter::value_of(const Arithmetic& node) {
  const Value left = evaluate(*node.left);
  return arithmetic(runtime_, node.op, left, evaluate(*node.right));
}

Value Interpreter::value_of(const Logic& node) {
  Value left = evaluate(*node.left);
  return truth(left) == node.is_and ? evaluate(*node.right) : left;
}

Value Interpreter::value_of(const Concat& node) {
  std::string text;
  for (const auto& part : node.parts) text += to_text(runtime_, evaluate(*part));
  return runtime_.string(std::move(text));
}

Value Interpreter::value_of(const Compare& node) {
  Value left = evaluate(*node.first);
  for (const auto& [comparison, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(runtime_, comparison, left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::value_of(const Conditional& node) {
  if (truth(evaluate(*node.condition))) return evaluate(*node.then);
  if (node.otherwise) return evaluate(*node.otherwise);
  return runtime_.undefined("a conditional expression without else is undefined");
}

}  // namespace octavo::text::jinja
