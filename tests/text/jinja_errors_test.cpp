// Templates that are wrong, hostile or damaged: errors name the line and the fault, limits hold,
// and nothing crashes.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "text/jinja_limits.h"
#include "text/jinja_test_support.h"

namespace octavo::text {
namespace {

struct Case {
  std::string source;
  std::string expected;  // of the message behind "error: chat template "
};

void expect_errors(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(render_or_error(c.source), "error: chat template " + c.expected) << c.source;
  }
}

std::string repeat(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(JinjaErrors, OfSyntaxNameLineAndFault) {
  expect_errors({
      {"a\n{{ 1 +", "line 2: the template ends inside a tag"},
      {"{{ 1 + }}", "line 1: unexpected '}}'"},
      {"{{ (1 }}", "line 1: unexpected '}'"},
      {"{{ a b }}", "line 1: expected '}}', found 'b'"},
      {"{{ 'abc }}", "line 1: a string has no end"},
      {"{{ '\\x4' }}", "line 1: '4' is not 2 digits of an escape in a string"},
      {"{{ $ }}", "line 1: unexpected character '$'"},
      {"{# abc", "line 1: a comment has no end"},
      {"{% raw %} abc", "line 1: a raw block has no end"},
      {"\n\n{% if yes %}", "line 3: a block that 'endif' should close is still open"},
      {"{% if yes %}{% endfor %}", "line 1: unknown or unsupported tag 'endfor'"},
      {"{% include 'x' %}", "line 1: unknown or unsupported tag 'include'"},
      {"{% break %}", "line 1: 'break' stands outside of a loop"},
      {"{% for x in list %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}",
       "line 1: 'continue' stands outside of a loop"},
      {"{% for x in list recursive %}{% endfor %}", "line 1: recursive loops are not supported"},
      {"{% set true = 1 %}", "line 1: cannot assign to 'true'"},
      {"{{ f(a=1, 2) }}", "line 1: a positional argument follows a named one"},
      {"{{ f(*list) }}", "line 1: calls with * and ** are not supported"},
      {"{% macro m(a=1, b) %}{% endmacro %}",
       "line 1: a parameter without a default follows one with a default"},
      {"{% call 1 %}{% endcall %}", "line 1: expected a call after 'call'"},
      {"{{ 1 is odd is odd }}", "line 1: tests with 'is' cannot be chained"},
      {"{{ 9223372036854775808 }}", "line 1: the integer 9223372036854775808 is too large"},
      {"a\n\xff", "line 2: not UTF-8"},
  });
}

TEST(JinjaErrors, OfRenderingNameLineAndFault) {
  expect_errors({
      {"a\n\n{{ text|foo }}", "line 3: unknown filter 'foo'"},
      {"{{ text is foo }}", "line 1: unknown test 'foo'"},
      {"{{\n missing.x }}", "line 2: 'missing' is undefined"},
      {"{{ table.zz.yy }}", "line 1: a dict has no 'zz'"},
      {"{{ missing + 1 }}", "line 1: 'missing' is undefined"},
      {"{{ missing() }}", "line 1: 'missing' is undefined"},
      {"{{ text() }}", "line 1: a str cannot be called"},
      {"{{ 'a' + 1 }}", "line 1: '+' does not work between a str and a int"},
      {"{{ 'a' + nothing }}", "line 1: '+' does not work between a str and a NoneType"},
      {"{{ 1 < 'a' }}", "line 1: cannot order a int and a str"},
      {"{{ 1 in 'a' }}", "line 1: 'in' a str needs a str, not a int"},
      {"{{ 1 // 0 }}", "line 1: division by zero"},
      {"{{ 2 ** 63 }}", "line 1: 2 ** 63 does not fit into 64 bits"},
      {"{{ (-9223372036854775807 - 1) // -1 }}",
       "line 1: -9223372036854775808 // -1 does not fit into 64 bits"},
      {"{{ nothing|length }}", "line 1: a NoneType has no length"},
      {"{{ nothing[1:] }}", "line 1: a NoneType cannot be sliced"},
      {"{{ list[::0] }}", "line 1: a slice's step is zero"},
      {"{% for x in 5 %}{% endfor %}", "line 1: a int cannot be iterated over"},
      {"{% set a, b = list %}", "line 1: 3 values cannot be assigned to 2 names"},
      {"{% set text.x = 1 %}", "line 1: 'text' is not a namespace"},
      {"{{ {[1]: 2} }}", "line 1: a list cannot be the key of a dict"},
      {"{{ missing|tojson }}", "line 1: 'missing' is undefined"},
      {"{{ range|tojson }}", "line 1: a function has no JSON form"},
      {"{{ 'x'|from_json }}", "line 1: 'x' is not JSON"},
      {"{{ ''.split('') }}", "line 1: the separator of a split is empty"},
      {"{{ range(1, 2, 0) }}", "line 1: the step of range is zero"},
      {"{{ range('a') }}", "line 1: the argument of range must be an int, not a str"},
      {"{{ text.replace('a') }}", "line 1: 'replace' needs its argument 'new'"},
      {"{{ text.upper(1) }}", "line 1: 'upper' takes at most 0 arguments, not 1"},
      {"{{ text|indent(size=1) }}", "line 1: 'indent' has no parameter 'size'"},
      {"{{ strftime_now('%E') }}", "line 1: strftime_now cannot format '%E'"},
      {"{% macro m(a) %}{% endmacro %}\n{{ m(1, 2) }}",
       "line 2: macro 'm' takes at most 1 arguments, not 2"},
      {"{% macro m(a) %}{% endmacro %}{{ m(z=2) }}", "line 1: macro 'm' has no parameter 'z' left"},
      {"{{ list.append(1) }}",
       "line 1: a template cannot change a list; make a new one, with + or a literal"},
      {"{{ table.update({'a': 1}) }}",
       "line 1: a template cannot change a dict; make a new one, with + or a literal"},
  });
}

TEST(JinjaErrors, RaiseExceptionPassesItsMessage) {
  EXPECT_EQ(render_or_error("{{ raise_exception('System role not supported') }}"),
            "error: System role not supported");
  EXPECT_EQ(render_or_error("{{ raise_exception('two\nlines') }}"), "error: two\\x0alines");
}

TEST(JinjaLimits, OfParsing) {
  const std::string too_deep = "line 1: blocks and brackets nest deeper than 120 levels";
  const std::string too_long = "line 1: an expression has more than 500 operators";
  expect_errors({
      {"{{ " + repeat("(", 10000) + repeat(")", 10000) + " }}", too_deep},
      {"{{ " + repeat("[", 10000) + repeat("]", 10000) + " }}", too_deep},
      {"{{ " + repeat("{1:", 10000) + repeat("}", 10000) + " }}", too_deep},
      {"{{ " + repeat("-", 10000) + "1 }}", too_deep},
      {"{{ " + repeat("not ", 10000) + "1 }}", too_deep},
      {"{{ 1" + repeat(" if 1 else 1", 10000) + " }}", too_deep},
      {repeat("{% if 1 %}", 10000), too_deep},
      {"{{ 1" + repeat(" + 1", 10000) + " }}", too_long},
      {"{{ 1" + repeat("|abs", 10000) + " }}", too_long},
      {"{{ a" + repeat(".a", 10000) + " }}", too_long},
      {"{{ a" + repeat("()", 10000) + " }}", too_long},
  });
  EXPECT_EQ(render_or_error("{{ 1" + repeat(" + 1", 500) + " }}"), "501");
  EXPECT_EQ(render_or_error(repeat("{% if 1 %}", 110) + "x" + repeat("{% endif %}", 110)), "x");
  EXPECT_EQ(render_or_error(std::string(jinja::max_source_bytes + 1, 'a')),
            "error: chat template: 1048577 bytes are more than 1048576");
}

TEST(JinjaLimits, OfRecursion) {
  expect_errors({
      {"{% macro m() %}{{ [m()|upper ~ 'a'] }}{% endmacro %}{{ m() }}",
       "line 1: evaluation nests deeper than 1200 levels"},
      {"{% set ns = namespace(a=[]) %}\n{% for x in range(1000) %}{% set ns.a = [ns.a] %}{% endfor "
       "%}",
       "line 2: lists and dicts nest deeper than 100 levels"},
      {"{% set ns = namespace(a={}) %}{% for x in range(1000) %}{% set ns.a = {1: ns.a} %}{% "
       "endfor %}",
       "line 1: lists and dicts nest deeper than 100 levels"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(200) %}{% for x in ns.l %}"
       "{% set ns.l = [loop] %}{% endfor %}{% endfor %}",
       "line 1: lists and dicts nest deeper than 100 levels"},
      {"{{ ('[' * 150 ~ ']' * 150)|from_json }}",
       "line 1: lists and dicts nest deeper than 100 levels"},
  });
  // A namespace may hold itself; printing it does not follow.
  EXPECT_EQ(render_or_error("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns] %}"
                            "{{ ns.a.a.b }}"),
            "[<namespace>]");
}

TEST(JinjaLimits, OfWork) {
  const std::string too_much = "line 1: rendering takes more than 536870912 units of work";
  // Two to the ninetieth equal parts, in a few lists that share them.
  const std::string shared =
      "{% set ns = namespace(a=[1]) %}{% for x in range(90) %}{% set ns.a = [ns.a, ns.a] %}{% "
      "endfor %}";
  expect_errors({
      {"{{ 'x' * 10000000000 }}", too_much},
      {"{{ 'x' * 9223372036854775807 }}", too_much},
      {"{{ [] * 9223372036854775807 }}", too_much},
      {"{% for x in range(100000000000) %}{% endfor %}", too_much},
      {"{% for x in range(9999) %}{% for y in range(9999) %}{% endfor %}{% endfor %}", too_much},
      {"{% set ns = namespace(a='x') %}{% for x in range(90) %}{% set ns.a = ns.a ~ ns.a %}{% "
       "endfor %}",
       too_much},
      {"{{ ('a' * 100000)|replace('a', 'b' * 100000) }}", too_much},
      {"{{ ('\\n' * 100000)|indent(100000, true, true) }}", too_much},
      {"{{ 'a'|indent(99999999999) }}", too_much},
      {"{{ messages|tojson(indent=999999999999) }}", too_much},
      {"{% set a = 'a' * 9999999 %}{{ a.find(a[1:] ~ 'b') }}", too_much},
      {"{{ range(50)|tojson(separators=('a' * 4999999, 'b' * 4999999)) }}", too_much},
      {"{{ ('a ' * 9999999).split() }}", too_much},
      {shared + "{{ ns.a == ns.a }}", too_much},
      {shared + "{{ ns.a|tojson }}", too_much},
      {"{% set big = 'x' * 2000000 %}{% for x in range(40) %}{{ big }}{% endfor %}",
       "line 1: the output is longer than 67108864 bytes"},
  });
}

TEST(JinjaLimits, OfTheInput) {
  nlohmann::ordered_json nested = nlohmann::ordered_json::array();
  for (int i = 0; i < 1000; ++i) nested = nlohmann::ordered_json::array({nested});
  ChatTemplateInput input;
  input.messages = nested;
  const auto text = default_template().render(input);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message,
            "chat template line 1: lists and dicts nest deeper than 100 levels");

  input.messages = "text";
  EXPECT_EQ(default_template().render(input).error().message, "messages: not a list");
  input.messages = nlohmann::ordered_json::array();
  input.extra = 1;
  EXPECT_EQ(default_template().render(input).error().message,
            "chat template variables: not an object");
}

// --- damaged templates ---

const std::array<std::string, 6> healthy_templates = {
    "{%- macro m(a, b=2) -%}{{ a }}{{ b }}{{ caller() }}{%- endmacro -%}"
    "{% call m(seven, b=half) %}{% set x = namespace(y=[]) %}{{ x.y + [1] }}{% endcall %}",
    "{% for m in messages if m.content %}{{ loop.index0 ~ m['role'] | upper }}"
    "{% if loop.last and not no %}{% break %}{% else %}{{ m | tojson(indent=2) }}{% endif %}{% "
    "endfor %}",
    "{{ list[::-1] }}{{ text[1:-1].split('o', 1) | join('-') }}{{ (1, 2.5, 'a\\n\\u00e9') }}"
    "{{ 7 // 2 ** 3 % 5 - -1 }}{{ 1 < 2 <= 3 != 4 }}{{ 'a' in text and 3 not in list }}",
    "{# note -#}  {% raw %}{{ x }}{% endraw %}\n{%- filter indent(2) | trim %}\n{{ accents }}\n"
    "{% endfilter %}{% with a = 1 %}{% generation %}{{ a }}{% endgeneration %}{% endwith %}",
    "{{ table | dictsort | map('first') | select('string') | list | sort(reverse=true) }}"
    "{{ {'a': [none, true], 1: {}} }}{{ messages | selectattr('n', 'gt', 1) | map(attribute='n') | "
    "sum }}",
    "{% set a, b = range(2) %}{% set t | replace('a', 'b') %}{{ missing | default('x' if a else "
    "'y') }}"
    "{% endset %}{{ t.strip('x') is string }}{{ strftime_now('%d %b') }}{{ '[1]' | from_json }}",
};

std::string damage(std::string source, std::mt19937& random) {
  const auto below = [&random](size_t bound) { return static_cast<size_t>(random() % bound); };
  constexpr std::array<const char*, 24> pieces = {
      "{{", "}}", "{%", "%}", "-", "(",  ")",    "[",  "]",   "{",   "}",           "|",
      ".",  ":",  ",",  "'",  "=", "if", "else", "in", "is ", "not", "99999999999", "\xc3"};
  for (size_t edits = 1 + below(4); edits > 0 && !source.empty(); --edits) {
    const size_t at = below(source.size());
    const std::string& other = healthy_templates[below(healthy_templates.size())];
    switch (below(5)) {
      case 0:
        source.erase(at, 1 + below(8));
        break;
      case 1:
        source.insert(at, pieces[below(pieces.size())]);
        break;
      case 2:
        source[at] = static_cast<char>(below(128));
        break;
      case 3:
        source.insert(at, other, below(other.size()), 1 + below(30));
        break;
      default:
        source.insert(at, source, below(source.size()), 1 + below(20));
        break;
    }
  }
  return source;
}

TEST(JinjaDamaged, TemplatesNeverCrash) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  size_t rendered = 0;
  for (int round = 0; round < 5000; ++round) {
    const std::string source =
        damage(healthy_templates[static_cast<size_t>(round) % healthy_templates.size()], random);
    const std::string text = render_or_error(source);
    if (text.rfind("error: ", 0) != 0) {
      ++rendered;
    } else {
      // An error is one line that says something.
      EXPECT_EQ(text.find('\n'), std::string::npos) << source;
      EXPECT_GT(text.size(), 10u) << source;
    }
  }
  EXPECT_GT(rendered, 100u);  // the damage leaves enough to reach the interpreter
  EXPECT_LT(rendered, 4900u);
}

TEST(JinjaDamaged, HealthyTemplatesRender) {
  for (const std::string& source : healthy_templates) {
    EXPECT_NE(render_or_error(source).rfind("error: ", 0), 0u) << render_or_error(source);
  }
}

}  // namespace
}  // namespace octavo::text
