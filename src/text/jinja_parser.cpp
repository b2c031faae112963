#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "text/jinja_lexer.h"
#include "text/jinja_runtime.h"

namespace octavo::text::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end:
      return "the end of the template";
    case TokenKind::block_begin:
    case TokenKind::output_begin:
    case TokenKind::data:
      return "text";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::output_end:
      return "'}}'";
    case TokenKind::integer:
    case TokenKind::real:
      return "a number";
    case TokenKind::string:
      return fmt::format("string '{}'", printable(token.text, 40));
    case TokenKind::name:
    case TokenKind::op:
      return fmt::format("'{}'", printable(token.text, 40));
  }
  return "?";
}

Value string_value(std::string text) {
  return Value(std::make_shared<const std::string>(std::move(text)));
}

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Block run() { return parse_block({}); }

 private:
  // --- tokens ---

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void advance() { at_ = std::min(at_ + 1, tokens_.size() - 1); }
  Token take() {
    Token token = std::move(tokens_[at_]);
    advance();
    return token;
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw TemplateError{ErrorKind::invalid_input, current().line, message};
  }

  bool at_op(std::string_view op) const {
    return current().kind == TokenKind::op && current().text == op;
  }
  bool at_name(std::string_view name) const {
    return current().kind == TokenKind::name && current().text == name;
  }
  bool skip_op(std::string_view op) {
    if (!at_op(op)) return false;
    advance();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!at_name(name)) return false;
    advance();
    return true;
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) fail(fmt::format("expected '{}', found {}", op, describe(current())));
  }
  void expect_keyword(std::string_view name) {
    if (!skip_name(name)) fail(fmt::format("expected '{}', found {}", name, describe(current())));
  }
  void expect(TokenKind kind, std::string_view what) {
    if (current().kind != kind)
      fail(fmt::format("expected {}, found {}", what, describe(current())));
    advance();
  }
  std::string expect_name() {
    if (current().kind != TokenKind::name) {
      fail(fmt::format("expected a name, found {}", describe(current())));
    }
    return take().text;
  }

  // --- limits ---

  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > max_parse_depth) {
        parser_.fail(
            fmt::format("blocks and brackets nest deeper than {} levels", max_parse_depth));
      }
    }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  template <class Node>
  ExpressionPtr make(int line, Node node) {
    return std::make_unique<Expression>(Expression{line, std::move(node)});
  }
  // For nodes whose operand was parsed before them, which may chain without recursion.
  template <class Node>
  ExpressionPtr chain(int line, Node node) {
    if (++operators_ > max_expression_operators) {
      fail(fmt::format("an expression has more than {} operators", max_expression_operators));
    }
    return make(line, std::move(node));
  }

  // --- statements ---

  bool at_any_name(Names names) const {
    for (const std::string_view name : names) {
      if (at_name(name)) return true;
    }
    return false;
  }

  // Up to a tag named in `ends` (or, without any, the end); that tag's name is the current token.
  Block parse_block(Names ends) {
    const Nesting nesting(*this);
    Block block;
    for (;;) {
      const int line = current().line;
      switch (current().kind) {
        case TokenKind::data:
          block.push_back({line, TextStatement{take().text}});
          break;
        case TokenKind::output_begin:
          advance();
          block.push_back({line, OutputStatement{parse_top_expression()}});
          expect(TokenKind::output_end, "'}}'");
          break;
        case TokenKind::block_begin:
          advance();
          if (at_any_name(ends)) return block;
          block.push_back(parse_statement());
          expect(TokenKind::block_end, "'%}'");
          break;
        default:
          if (ends.size() > 0) {
            fail(fmt::format("a block that '{}' should close is still open", *(ends.end() - 1)));
          }
          return block;
      }
    }
  }

  // The body of a block tag: from the tag's end to just behind the name of `end`.
  Block parse_body(std::string_view end) {
    expect(TokenKind::block_end, "'%}'");
    Block body = parse_block({end});
    advance();
    return body;
  }

  Statement parse_statement() {
    const int line = current().line;
    const Token tag = current();
    const std::string name = expect_name();
    if (name == "set") return {line, parse_set()};
    if (name == "if") return {line, parse_if()};
    if (name == "for") return {line, parse_for()};
    if (name == "macro") return {line, parse_macro()};
    if (name == "call") return {line, parse_call_block()};
    if (name == "filter") return {line, parse_filter_block()};
    if (name == "with") return {line, parse_with()};
    if (name == "generation") return {line, WithStatement{{}, parse_body("endgeneration")}};
    if (name == "break" || name == "continue") {
      if (loops_ == 0) fail(fmt::format("'{}' stands outside of a loop", name));
      if (name == "break") return {line, BreakStatement{}};
      return {line, ContinueStatement{}};
    }
    fail(fmt::format("unknown or unsupported tag {}", describe(tag)));
  }

  decltype(Statement::node) parse_set() {
    Target target = parse_target(true);
    if (skip_op("=")) return SetStatement{std::move(target), parse_top_expression()};
    operators_ = 0;
    ExpressionPtr filter;
    while (at_op("|")) filter = parse_filter(std::move(filter));
    Block body = parse_body("endset");
    return SetBlockStatement{std::move(target), std::move(filter), std::move(body)};
  }

  Target parse_target(bool may_be_attribute) {
    Target target;
    const bool has_bracket = skip_op("(");
    do {
      if (target.unpacks && current().kind != TokenKind::name) break;  // a trailing comma
      const std::string name = expect_name();
      for (const std::string_view constant : {"true", "True", "false", "False", "none", "None"}) {
        if (name == constant) fail(fmt::format("cannot assign to '{}'", name));
      }
      target.names.push_back(name);
      if (at_op(",")) target.unpacks = true;
    } while (skip_op(","));
    if (has_bracket) expect_op(")");
    if (may_be_attribute && !target.unpacks && skip_op(".")) target.attribute = expect_name();
    return target;
  }

  IfStatement parse_if() {
    IfStatement statement;
    ExpressionPtr condition = parse_top_expression();
    for (;;) {
      expect(TokenKind::block_end, "'%}'");
      const bool is_else = condition == nullptr;
      Block body = is_else ? parse_block({"endif"}) : parse_block({"elif", "else", "endif"});
      statement.branches.push_back({std::move(condition), std::move(body)});
      if (skip_name("endif")) return statement;
      if (skip_name("elif")) {
        condition = parse_top_expression();
      } else {
        expect_keyword("else");
        condition = nullptr;
      }
    }
  }

  ForStatement parse_for() {
    ForStatement loop;
    loop.target = parse_target(false);
    expect_keyword("in");
    operators_ = 0;
    loop.iterable = parse_tuple(false);
    if (skip_name("if")) loop.filter = parse_top_expression();
    if (at_name("recursive")) fail("recursive loops are not supported");
    expect(TokenKind::block_end, "'%}'");
    ++loops_;
    loop.body = parse_block({"else", "endfor"});
    --loops_;
    if (skip_name("else")) {
      loop.otherwise = parse_body("endfor");
    } else {
      expect_keyword("endfor");
    }
    return loop;
  }

  void parse_parameters(MacroStatement& macro) {
    expect_op("(");
    while (!at_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      if (at_op(")")) break;
      MacroStatement::Parameter parameter;
      parameter.name = expect_name();
      if (skip_op("=")) {
        parameter.fallback = parse_top_expression(false);
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
        fail("a parameter without a default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    expect_op(")");
  }

  // A macro's body is called, not run in place: break and continue cannot reach a loop outside.
  void parse_macro_body(MacroStatement& macro, std::string_view end) {
    const int outer_loops = loops_;
    loops_ = 0;
    macro.body = parse_body(end);
    loops_ = outer_loops;
  }

  MacroStatement parse_macro() {
    MacroStatement macro;
    macro.name = expect_name();
    parse_parameters(macro);
    parse_macro_body(macro, "endmacro");
    return macro;
  }

  CallBlockStatement parse_call_block() {
    CallBlockStatement block;
    block.caller.name = "caller";
    if (at_op("(")) parse_parameters(block.caller);
    block.call = parse_top_expression();
    if (!std::holds_alternative<Call>(block.call->node)) fail("expected a call after 'call'");
    parse_macro_body(block.caller, "endcall");
    return block;
  }

  FilterBlockStatement parse_filter_block() {
    operators_ = 0;
    ExpressionPtr filter = parse_filter_name(nullptr);
    while (at_op("|")) filter = parse_filter(std::move(filter));
    Block body = parse_body("endfilter");
    return {std::move(filter), std::move(body)};
  }

  WithStatement parse_with() {
    WithStatement with;
    while (current().kind == TokenKind::name) {
      Target target;
      target.names.push_back(expect_name());
      expect_op("=");
      with.variables.emplace_back(std::move(target), parse_top_expression(false));
      if (!skip_op(",")) break;
    }
    with.body = parse_body("endwith");
    return with;
  }

  // --- expressions, loosest binding first ---

  ExpressionPtr parse_top_expression(bool may_be_tuple = true) {
    operators_ = 0;
    return may_be_tuple ? parse_tuple(true) : parse_expression();
  }

  // Comma-separated expressions are a tuple. In front of a for's `if`, conditionals are left out.
  ExpressionPtr parse_tuple(bool with_conditional) {
    const int line = current().line;
    ListLiteral tuple{{}, true};
    const auto at_end = [this] {
      return at_op(")") || current().kind == TokenKind::block_end ||
             current().kind == TokenKind::output_end || at_name("recursive");
    };
    bool is_tuple = false;
    do {
      if (is_tuple && at_end()) break;
      tuple.items.push_back(with_conditional ? parse_expression() : parse_or());
      if (at_op(",")) is_tuple = true;
    } while (skip_op(","));
    return is_tuple ? make(line, std::move(tuple)) : std::move(tuple.items[0]);
  }

  ExpressionPtr parse_expression() {
    const Nesting nesting(*this);
    const int line = current().line;
    ExpressionPtr value = parse_or();
    while (skip_name("if")) {
      ExpressionPtr condition = parse_or();
      ExpressionPtr otherwise;
      if (skip_name("else")) otherwise = parse_expression();
      value =
          chain(line, Conditional{std::move(condition), std::move(value), std::move(otherwise)});
    }
    return value;
  }

  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    for (int line = current().line; skip_name("or"); line = current().line) {
      left = chain(line, Logic{false, std::move(left), parse_and()});
    }
    return left;
  }

  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    for (int line = current().line; skip_name("and"); line = current().line) {
      left = chain(line, Logic{true, std::move(left), parse_not()});
    }
    return left;
  }

  ExpressionPtr parse_not() {
    const int line = current().line;
    if (!skip_name("not")) return parse_comparison();
    const Nesting nesting(*this);
    return make(line, Not{parse_not()});
  }

  std::optional<Comparison> take_comparison() {
    constexpr std::pair<std::string_view, Comparison> operators[] = {
        {"==", Comparison::equal},  {"!=", Comparison::not_equal},
        {"<", Comparison::less},    {"<=", Comparison::less_equal},
        {">", Comparison::greater}, {">=", Comparison::greater_equal},
    };
    for (const auto& [op, comparison] : operators) {
      if (skip_op(op)) return comparison;
    }
    if (skip_name("in")) return Comparison::in;
    if (at_name("not") && next().kind == TokenKind::name && next().text == "in") {
      advance();
      advance();
      return Comparison::not_in;
    }
    return std::nullopt;
  }

  ExpressionPtr parse_comparison() {
    const int line = current().line;
    ExpressionPtr first = parse_sum();
    Compare compare;
    while (const auto comparison = take_comparison()) {
      compare.rest.emplace_back(*comparison, parse_sum());
    }
    if (compare.rest.empty()) return first;
    compare.first = std::move(first);
    return make(line, std::move(compare));
  }

  ExpressionPtr parse_sum() {
    ExpressionPtr left = parse_concat();
    while (at_op("+") || at_op("-")) {
      const Token op = take();
      const Operator kind = op.text == "+" ? Operator::add : Operator::subtract;
      left = chain(op.line, Arithmetic{kind, std::move(left), parse_concat()});
    }
    return left;
  }

  ExpressionPtr parse_concat() {
    const int line = current().line;
    Concat concat;
    do {
      concat.parts.push_back(parse_product());
    } while (skip_op("~"));
    return concat.parts.size() == 1 ? std::move(concat.parts[0]) : make(line, std::move(concat));
  }

  ExpressionPtr parse_product() {
    ExpressionPtr left = parse_power();
    while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
      const Token op = take();
      const Operator kind = op.text == "*"    ? Operator::multiply
                            : op.text == "/"  ? Operator::divide
                            : op.text == "//" ? Operator::floor_divide
                                              : Operator::modulo;
      left = chain(op.line, Arithmetic{kind, std::move(left), parse_power()});
    }
    return left;
  }

  ExpressionPtr parse_power() {
    ExpressionPtr left = parse_unary(true);
    for (int line = current().line; skip_op("**"); line = current().line) {
      left = chain(line, Arithmetic{Operator::power, std::move(left), parse_unary(true)});
    }
    return left;
  }

  ExpressionPtr parse_unary(bool with_filters) {
    const Nesting nesting(*this);
    const int line = current().line;
    ExpressionPtr value;
    if (at_op("-") || at_op("+")) {
      const bool is_negative = take().text == "-";
      value = make(line, Sign{parse_unary(false), is_negative});
    } else {
      value = parse_primary();
    }
    value = parse_postfix(std::move(value));
    while (with_filters) {
      if (at_op("|")) {
        value = parse_filter(std::move(value));
      } else if (at_name("is")) {
        value = parse_test(std::move(value));
      } else if (at_op("(")) {
        value = parse_call(std::move(value));
      } else {
        break;
      }
    }
    return value;
  }

  ExpressionPtr parse_primary() {
    const int line = current().line;
    switch (current().kind) {
      case TokenKind::name: {
        std::string name = take().text;
        if (name == "true" || name == "True") return make(line, Literal{Value(true)});
        if (name == "false" || name == "False") return make(line, Literal{Value(false)});
        if (name == "none" || name == "None") return make(line, Literal{Value(None{})});
        return make(line, Name{std::move(name)});
      }
      case TokenKind::string: {
        std::string text;
        while (current().kind == TokenKind::string) text += take().text;
        return make(line, Literal{string_value(std::move(text))});
      }
      case TokenKind::integer:
        return make(line, Literal{Value(take().integer)});
      case TokenKind::real:
        return make(line, Literal{Value(take().real)});
      default:
        break;
    }
    if (skip_op("(")) {
      if (skip_op(")")) return make(line, ListLiteral{{}, true});
      ExpressionPtr value = parse_tuple(true);
      expect_op(")");
      return value;
    }
    if (skip_op("[")) return parse_list(line);
    if (skip_op("{")) return parse_dict(line);
    fail(fmt::format("unexpected {}", describe(current())));
  }

  ExpressionPtr parse_list(int line) {
    ListLiteral list{{}, false};
    while (!skip_op("]")) {
      if (!list.items.empty()) expect_op(",");
      if (skip_op("]")) break;
      list.items.push_back(parse_expression());
    }
    return make(line, std::move(list));
  }

  ExpressionPtr parse_dict(int line) {
    DictLiteral dict;
    while (!skip_op("}")) {
      if (!dict.entries.empty()) expect_op(",");
      if (skip_op("}")) break;
      ExpressionPtr key = parse_expression();
      expect_op(":");
      dict.entries.emplace_back(std::move(key), parse_expression());
    }
    return make(line, std::move(dict));
  }

  ExpressionPtr parse_postfix(ExpressionPtr value) {
    for (;;) {
      const int line = current().line;
      if (skip_op(".")) {
        if (current().kind == TokenKind::integer) {
          ExpressionPtr index = make(line, Literal{Value(take().integer)});
          value = chain(line, Subscript{std::move(value), std::move(index)});
        } else {
          value = chain(line, Attribute{std::move(value), expect_name()});
        }
      } else if (skip_op("[")) {
        value = parse_subscript(std::move(value), line);
      } else if (at_op("(")) {
        value = parse_call(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_subscript(ExpressionPtr object, int line) {
    const auto at_part_end = [this] { return at_op(":") || at_op("]"); };
    ExpressionPtr first = at_op(":") ? nullptr : parse_expression();
    if (skip_op("]")) return chain(line, Subscript{std::move(object), std::move(first)});
    expect_op(":");
    Slice slice{std::move(object), std::move(first), nullptr, nullptr};
    if (!at_part_end()) slice.stop = parse_expression();
    if (skip_op(":") && !at_part_end()) slice.step = parse_expression();
    expect_op("]");
    return chain(line, std::move(slice));
  }

  Arguments parse_arguments() {
    Arguments arguments;
    expect_op("(");
    for (bool is_first = true; !at_op(")"); is_first = false) {
      if (!is_first) expect_op(",");
      if (at_op(")")) break;
      if (at_op("*") || at_op("**")) fail("calls with * and ** are not supported");
      if (current().kind == TokenKind::name && next().kind == TokenKind::op && next().text == "=") {
        std::string name = take().text;
        advance();
        arguments.named.emplace_back(std::move(name), parse_expression());
      } else if (!arguments.named.empty()) {
        fail("a positional argument follows a named one");
      } else {
        arguments.positional.push_back(parse_expression());
      }
    }
    expect_op(")");
    return arguments;
  }

  ExpressionPtr parse_call(ExpressionPtr callee) {
    const int line = current().line;
    return chain(line, Call{std::move(callee), parse_arguments()});
  }

  ExpressionPtr parse_filter(ExpressionPtr operand) {
    expect_op("|");
    return parse_filter_name(std::move(operand));
  }

  ExpressionPtr parse_filter_name(ExpressionPtr operand) {
    const int line = current().line;
    std::string name = expect_name();
    Arguments arguments;
    if (at_op("(")) arguments = parse_arguments();
    return chain(line, Filter{std::move(operand), std::move(name), std::move(arguments)});
  }

  ExpressionPtr parse_test(ExpressionPtr operand) {
    const int line = current().line;
    advance();  // "is"
    const bool is_negated = skip_name("not");
    Test test{std::move(operand), expect_name(), {}};
    if (at_op("(")) {
      test.arguments = parse_arguments();
    } else if (at_test_operand()) {
      test.arguments.positional.push_back(parse_postfix(parse_primary()));
    }
    ExpressionPtr value = chain(line, std::move(test));
    return is_negated ? chain(line, Not{std::move(value)}) : std::move(value);
  }

  // A test may take its one argument without brackets: x is divisibleby 3.
  bool at_test_operand() const {
    switch (current().kind) {
      case TokenKind::name:
        if (at_name("is")) fail("tests with 'is' cannot be chained");
        return !at_any_name({"else", "or", "and", "if"});
      case TokenKind::string:
      case TokenKind::integer:
      case TokenKind::real:
        return true;
      default:
        return at_op("[") || at_op("{");
    }
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int operators_ = 0;  // chained in the expression being parsed
  int loops_ = 0;      // for statements around, within the same macro
};

}  // namespace

Block parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace octavo::text::jinja
