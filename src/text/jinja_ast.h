// A parsed template: statements and expressions. Immutable once parsed and without any state of a
// render, so that many threads may render one template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja_value.h"

namespace octavo::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  std::vector<ExpressionPtr> items;
  bool is_tuple;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object;
  ExpressionPtr index;
};
struct Slice {
  ExpressionPtr object;
  ExpressionPtr start, stop, step;  // null when left out
};
struct Call {
  ExpressionPtr callee;
  Arguments arguments;
};
struct Filter {
  ExpressionPtr operand;  // null in a filter block: the block's text
  std::string name;
  Arguments arguments;
};
struct Test {
  ExpressionPtr operand;
  std::string name;
  Arguments arguments;
};
struct Not {
  ExpressionPtr operand;
};
struct Sign {
  ExpressionPtr operand;
  bool is_negative;
};
enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };
struct Arithmetic {
  Operator op;
  ExpressionPtr left, right;
};
struct Logic {
  bool is_and;
  ExpressionPtr left, right;
};
struct Concat {
  std::vector<ExpressionPtr> parts;
};
enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };
struct Compare {  // a < b < c is one of these
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Conditional {
  ExpressionPtr condition, then;
  ExpressionPtr otherwise;  // null when left out
};

struct Expression {
  int line;
  std::variant<Literal, Name, ListLiteral, DictLiteral, Attribute, Subscript, Slice, Call, Filter,
               Test, Not, Sign, Arithmetic, Logic, Concat, Compare, Conditional>
      node;
};

struct Statement;
using Block = std::vector<Statement>;

// What is assigned to: one name, several that unpack a sequence, or a namespace's attribute.
struct Target {
  std::vector<std::string> names;
  bool unpacks = false;
  std::string attribute;  // of the namespace names[0]; empty otherwise
};

struct TextStatement {
  std::string text;
};
struct OutputStatement {
  ExpressionPtr value;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlockStatement {
  Target target;
  ExpressionPtr filter;  // null when there is none
  Block body;
};
struct IfStatement {
  struct Branch {
    ExpressionPtr condition;  // null for else
    Block body;
  };
  std::vector<Branch> branches;
};
struct ForStatement {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr filter;  // null when there is none
  Block body;
  Block otherwise;
};
struct MacroStatement {
  struct Parameter {
    std::string name;
    ExpressionPtr fallback;  // null when there is none
  };
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
};
struct CallBlockStatement {
  MacroStatement caller;
  ExpressionPtr call;  // a Call
};
struct FilterBlockStatement {
  ExpressionPtr filter;
  Block body;
};
struct WithStatement {  // also a generation block, which only opens a scope
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Block body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  int line;
  std::variant<TextStatement, OutputStatement, SetStatement, SetBlockStatement, IfStatement,
               ForStatement, MacroStatement, CallBlockStatement, FilterBlockStatement,
               WithStatement, BreakStatement, ContinueStatement>
      node;
};

}  // namespace octavo::text::jinja
