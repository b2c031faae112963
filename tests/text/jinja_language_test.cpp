// The template language, feature by feature. The expected texts are what Python's jinja2 3.1.6
// renders in the environment of transformers' apply_chat_template.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/jinja_test_support.h"

namespace octavo::text {
namespace {

struct Case {
  std::string source;
  std::string expected;
};

void expect_renders(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(render_or_error(c.source), c.expected) << c.source;
}

TEST(JinjaLanguage, WhitespaceControl) {
  expect_renders({
      {"a\n{% if yes %}\nb\n{% endif %}\nc\n", "a\nb\nc"},
      {"a\n  {% if yes %}\n  b\n  {% endif %}\nc\n\n", "a\n  b\nc\n"},
      {"a\n  {%+ if yes %}\n  b\n  {%+ endif +%}\nc", "a\n    b\n  \nc"},
      {"a\n  {%- if yes -%}\n  b\n  {%- endif -%}\nc", R"~(abc)~"},
      {"  {{ seven }}  \n  {{- seven -}}  \n x", R"~(  77x)~"},
      {"{# c #}\nx{#- c -#}\n y {# two\nlines #}z", R"~(xy z)~"},
      {R"~(  {# c #}  x)~", R"~(  x)~"},
      {"\t{# c +#}\nx", "\nx"},
      {"\r\na\r\nb\rc\r\n", "\na\nb\nc"},
      {"x {% raw -%} \n {{ a }} {%- endraw -%}\n y", R"~(x {{ a }}y)~"},
      {"  {% raw %}\n a {% b %} {# c #}\n  {% endraw %}\n y", "\n a {% b %} {# c #}\n y"},
      {"  {% set a = 1 %}  {% set b = 2 %}\n{{ a }}", R"~(  1)~"},
      {"  {% set a = 1 %}\n  {% set b = 2 %}\n{{ a }}", R"~(1)~"},
      {"{% for x in list %}\n  {{ x }}\n{% endfor %}\n\n", "  3\n  1\n  2\n"},
      {R"~({%if yes-%} x {%-endif%}{{-seven-}} {{seven}})~", R"~(x77)~"},
      {"{{ '' -}}\u3000\u00a0 x", R"~(x)~"},
      {R"~({{ "{{" }} {{ '}}' }} {{ "%}" }} {{ {'a': {}} }})~", R"~({{ }} %} {'a': {}})~"},
  });
}

TEST(JinjaLanguage, Loops) {
  expect_renders({
      {R"~({% for x in list %}{{ x }}{% else %}none{% endfor %})~", R"~(312)~"},
      {R"~({% for x in [] %}{{ x }}{% else %}none{% endfor %})~", R"~(none)~"},
      {R"~({% for x in missing %}{{ x }}{% else %}none{% endfor %})~", R"~(none)~"},
      {R"~({% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.previtem is defined }}|{% endfor %})~",
       R"~(1032TrueFalse311False|2121FalseFalse3132True|3210FalseTrue311True|)~"},
      {R"~({% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %})~", R"~(aba)~"},
      {R"~({% for x in list if x > 1 %}{{ x }}{{ loop.index }}{{ loop.length }}{% else %}no{% endfor %})~",
       R"~(312222)~"},
      {R"~({% for x in list if x > 10 %}{{ x }}{% else %}no{% endfor %})~", R"~(no)~"},
      {R"~({% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %})~",
       R"~(b=1;A=2;c={'k': [1, 2]};items=5;)~"},
      {R"~({% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %})~", R"~(1234)~"},
      {R"~({% for k in table %}{{ k }},{% endfor %})~", R"~(b,A,c,items,)~"},
      {R"~({% for c in accents %}{{ c }}.{% endfor %})~", "h.é.l.l.o. .w.ö.r.l.d. .☃. .😀."},
      {R"~({% for x in list %}{% set outer = loop %}{% for y in list %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %})~",
       R"~(11 12 13 21 22 23 31 32 33 )~"},
      {R"~({% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %})~",
       R"~(32)~"},
      {R"~({% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %})~",
       R"~(3)~"},
      {R"~({% for x in 1, 2, 3 %}{{ x }}{% endfor %})~", R"~(123)~"},
      {R"~({% for x in range(1, 7, 2) %}{{ x }}{% endfor %}{% for x in range(3, 0, -1) %}{{ x }}{% endfor %}{{ range(0)|list }})~",
       R"~(135321[])~"},
      {R"~({% for x in [1, 2, 3] %}{% set a %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endset %}{{ a }}{% endfor %}!)~",
       R"~(1!)~"},
  });
}

TEST(JinjaLanguage, VariablesAndScopes) {
  expect_renders({
      {R"~({% set z = 9 %}{% for x in range(3) %}{{ z }}{% set z = x %}{{ z }}{% endfor %}{{ z }})~",
       R"~(9091929)~"},
      {R"~({% for x in range(2) %}{% set y = x %}{{ y }}{% endfor %}[{{ y }}])~", R"~(01[])~"},
      {R"~({% set ns = namespace(a=1, b=[]) %}{% for x in list %}{% set ns.a = ns.a + x %}{% set ns.b = ns.b + [x] %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }})~",
       R"~(7[3, 1, 2]7)~"},
      {R"~({% set ns = namespace({'a': 5}, b=6) %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }})~",
       R"~(56False)~"},
      {R"~({% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }})~", R"~(12(1, 2))~"},
      {"{% set a %}x{{ seven }}\n{% endset %}[{{ a }}]", "[x7\n]"},
      {R"~({% set a | upper | trim %} abc {% endset %}[{{ a }}])~", R"~([ABC])~"},
      {R"~({% set a %}{% set seven = 5 %}{{ seven }}{% endset %}{{ a }}{{ seven }})~", R"~(57)~"},
      {R"~({% if yes %}{% set q = 4 %}{% endif %}{{ q }})~", R"~(4)~"},
      {R"~({% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}[{{ a }}])~", R"~(12[])~"},
      {R"~({% with a = seven %}{% set seven = 1 %}{{ a }}{{ seven }}{% endwith %}{{ seven }})~",
       R"~(717)~"},
      {R"~({% generation %}x{{ seven }}{% endgeneration %}y)~", R"~(x7y)~"},
      {R"~({% set messages = messages[1:] %}{{ messages|length }})~", R"~(2)~"},
      {R"~({% set loop = 1 %}{% for x in list %}{{ loop.index }}{% endfor %}{{ loop }})~",
       R"~(1231)~"},
      {R"~({{ messages|length }}{{ tools is none }}{{ add_generation_prompt }}{{ bos_token ~ eos_token }})~",
       R"~(3TrueTrue<s></s>)~"},
  });
}

TEST(JinjaLanguage, Conditions) {
  expect_renders({
      {R"~({% if no %}a{% elif nothing %}b{% elif seven == 7 %}c{% else %}d{% endif %})~",
       R"~(c)~"},
      {R"~({% if no %}a{% elif no %}b{% else %}d{% endif %}{% if missing %}a{% endif %})~",
       R"~(d)~"},
      {R"~({% if not yes %}a{% elif not no and yes %}b{% endif %})~", R"~(b)~"},
      {R"~({% if 'a' not in text and seven not in list %}ok{% endif %})~", R"~(ok)~"},
      {R"~({{ 1 if yes else 2 }}{{ 1 if no else 2 if no else 3 }}[{{ 1 if no }}])~", R"~(13[])~"},
      {R"~({{ seven and text }} {{ nothing or text }} {{ nothing and text }} {{ 0 or '' or 'x' }})~",
       R"~(Hello, World Hello, World None x)~"},
      {R"~({{ not 1 == 2 }} {{ not (1 and 0) }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }})~",
       R"~(True True True False)~"},
  });
}

TEST(JinjaLanguage, Macros) {
  expect_renders({
      {R"~({% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='q') }}{{ m(a=5) }}{{ m() }})~",
       R"~([12x][13x][12q][52x][2x])~"},
      {R"~({% macro m(a, b=a) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }})~", R"~([11])~"},
      {R"~({% macro m(a) %}{% if a > 0 %}{{ a }}{{ m(a - 1) }}{% endif %}{% endmacro %}{{ m(3) }})~",
       R"~(321)~"},
      {R"~({% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}in {{ seven }}{% endcall %})~",
       R"~(in 7!)~"},
      {R"~({% macro m(x) %}{{ caller(x, 'k') }}!{% endmacro %}{% call(a, b) m(4) %}in {{ a }}{{ b }}{% endcall %})~",
       R"~(in 4k!)~"},
      {R"~({% macro m() %}{{ seven }}{{ z }}{% endmacro %}{% set z = 3 %}{{ m() }})~", R"~(73)~"},
      {R"~({% for x in list %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %})~",
       R"~(312)~"},
      {R"~({% macro m() %}{% set seven = 1 %}{{ seven }}{% endmacro %}{{ m() }}{{ seven }})~",
       R"~(17)~"},
      {R"~({% macro m() %}  a  {% endmacro %}{{ m()|trim }}|{{ m() ~ 'x' }}|{{ m()|length }})~",
       R"~(a|  a  x|5)~"},
      {R"~({% macro m(x) %}{{ loop }}{% endmacro %}{% for x in list %}[{{ m(x) }}]{% endfor %})~",
       R"~([][][])~"},
      {R"~({% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }})~",
       R"~(B)~"},
      {R"~({% filter upper %}abc {{ text }}{% endfilter %})~", R"~(ABC HELLO, WORLD)~"},
      {R"~({% filter replace('a', 'b')|upper %}abc{% endfilter %})~", R"~(BBC)~"},
  });
}

TEST(JinjaLanguage, Numbers) {
  expect_renders({
      {R"~({{ 1 + 2 * 3 }} {{ 2 - 1 - 1 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }})~",
       R"~(7 0 3.5 3.0 3 -4 1 2 -2)~"},
      {R"~({{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -3 ** 2 }} {{ 2.0 ** 0.5 }} {{ 0 ** 0 }} {{ (-2) ** 63 }})~",
       R"~(1024 0.5 64 9 1.4142135623730951 1 -9223372036854775808)~"},
      {R"~({{ 2.5 * 2 }} {{ -2.5 // 1 }} {{ -2.5 % 1 }} {{ 5.0 // 2 }} {{ true + 1 }} {{ true * 3 }} {{ --seven }} {{ +seven }})~",
       R"~(5.0 -3.0 0.5 2.0 2 3 7 7)~"},
      {R"~({{ 1e16 }} {{ 1e15 }} {{ 123456789.123 }} {{ 1e-5 }} {{ 0.0001 }} {{ 0.1 + 0.2 }} {{ 1e22 }} {{ 1.0 }} {{ -0.0 }} {{ 1 / 3 }} {{ 1.5e300 * 1e10 }} {{ 1e308 * 10 }})~",
       R"~(1e+16 1000000000000000.0 123456789.123 1e-05 0.0001 0.30000000000000004 1e+22 1.0 -0.0 0.3333333333333333 inf inf)~"},
      {R"~({{ 1_000 }} {{ 1.0e3 }} {{ 1e3 }} {{ 10 ** 15 }} {{ 9223372036854775807 }})~",
       R"~(1000 1000.0 1000.0 1000000000000000 9223372036854775807)~"},
      {R"~({{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ 1 != 2 }} {{ 2 <= 2 }} {{ 2.5 >= 3 }})~",
       R"~(True True False True True False)~"},
      {R"~({{ '12'|int }} {{ '12.7'|int }} {{ 'abc'|int(5) }} {{ ' 12 '|int }} {{ -2.9|int }} {{ '1.5'|float }} {{ 'x'|float }} {{ 3|float }})~",
       R"~(12 12 5 12 -2 1.5 0.0 3.0)~"},
      {R"~({{ 2.567|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ 7|round }} {{ 2.1|round(0, 'ceil') }} {{ 2.9|round(method='floor') }} {{ 1.005|round(2) }} {{ -5|abs }})~",
       R"~(2.57 2.0 4.0 7 3.0 2.0 1.0 5)~"},
      {R"~({{ [1.5, 2]|sum }} {{ list|max }} {{ list|min }} {{ messages|sum(attribute='n') }})~",
       R"~(3.5 3 1 6)~"},
  });
}

TEST(JinjaLanguage, StringsAndSlices) {
  expect_renders({
      {R"~({{ text[0] }} {{ text[-1] }} [{{ text[99] }}] {{ text[1:3] }} {{ text[::-1] }} {{ text[::2] }} {{ text[-3:] }} {{ text[:-3] }} [{{ text[5:1] }}] {{ text[5:1:-1] }} {{ text.0 }})~",
       R"~(H d [] el dlroW ,olleH Hlo ol rld Hello, Wo [] ,oll H)~"},
      {R"~({{ accents[1:8] }} {{ accents[-1] }} {{ accents|length }} {{ accents[::-1] }} {{ accents|reverse }})~",
       "éllo wö 😀 15 😀 ☃ dlröw olléh 😀 ☃ dlröw olléh"},
      {R"~({{ list[0] }} {{ list[-1] }} [{{ list[5] }}] {{ list[1:] }} {{ list[::-1] }} {{ list[:100] }} {{ list[-100:2] }} {{ list[::-2] }} {{ list.1 }} {{ (1, 2, 3)[1:] }})~",
       R"~(3 2 [] [1, 2] [2, 1, 3] [3, 1, 2] [3, 1] [2, 3] 1 (2, 3))~"},
      {R"~({{ 'a' ~ 1 * 2 }} {{ 1 ~ 2 * 3 }} {{ 'a' + 'b' }} {{ 'a' 'b' }} {{ text ~ seven ~ nothing ~ yes }} {{ 'ab' * 3 }} [{{ 'ab' * -1 }}] {{ [1, 2] * 2 }})~",
       R"~(a2 16 ab ab Hello, World7NoneTrue ababab [] [1, 2, 1, 2])~"},
      {R"~({{ '\x41\u0042\101\q\t|' }} {{ 'it\'s' }} {{ "\"" }} {{ '\U0001F600' }})~",
       "ABA\\q\t| it's \" 😀"},
      {R"~([{{ spaces.strip() }}] [{{ spaces.lstrip() }}] [{{ spaces.rstrip() }}] [{{ spaces|trim }}] {{ 'xyabcyx'.strip('xy') }} {{ 'xxax'.lstrip('x') }} {{ 'axx'.rstrip('x') }})~",
       "[a b] [a b \u00a0\n] [  \u3000 a b] [a b] abc ax a"},
      {R"~({{ 'a,b,,c'.split(',') }} {{ 'a,b,,c'.split(',', 1) }} {{ 'a,b,,c'.rsplit(',', 1) }} {{ ' a  b c '.split() }} {{ ' a  b c '.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a  b'.split(' ') }})~",
       R"~(['a', 'b', '', 'c'] ['a', 'b,,c'] ['a,b,', 'c'] ['a', 'b', 'c'] ['a', 'b c '] [] [''] ['a', '', 'b'])~"},
      {R"~({{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }})~",
       R"~(['a', 'b', 'c'] ['a\n', 'b'] ('a', '=', 'b=c') ('a=b', '=', 'c') ('abc', '', ''))~"},
      {R"~({{ text.startswith('He') }} {{ text.startswith(('x', 'He')) }} {{ text.endswith('x') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }})~",
       R"~(True True False bc ab)~"},
      {R"~({{ text.replace('l', 'L') }} {{ text.replace('l', 'L', 1) }} {{ text|replace('l', '') }} {{ 'abc'.replace('', '-') }} {{ accents.replace('', '-') }})~",
       "HeLLo, WorLd HeLlo, World Heo, Word -a-b-c- -h-é-l-l-o- -w-ö-r-l-d- -☃- -😀-"},
      {R"~({{ text.find('o') }} {{ text.find('zz') }} {{ accents.find('w') }} {{ text.rfind('o') }} {{ text.count('l') }} {{ '-'.join(['a', 'b']) }})~",
       R"~(4 -1 6 8 3 a-b)~"},
      {R"~({{ text.upper() }} {{ text.lower() }} {{ 'ab cD'.title() }} {{ 'aB'.capitalize() }} {{ '12'.isdigit() }} {{ ' '.isspace() }})~",
       R"~(HELLO, WORLD hello, world Ab Cd Ab True True)~"},
      {R"~({{ "they're bill's (own)"|title }} {{ text|upper|lower|capitalize }} {{ (text|upper)[0] }} {% set f = text.upper %}{{ f() }})~",
       R"~(They're Bill's (Own) Hello, world H HELLO, WORLD)~"},
      {R"~({{ 'a\nb\n\nc'|indent }} {{ 'a\nb\n\nc'|indent(2, true) }} {{ 'a\nb\n\nc\n'|indent(2, true, true) }} {{ 'a\nb'|indent('> ') }})~",
       "a\n    b\n\n    c   a\n  b\n\n  c   a\n  b\n  \n  c\n   a\n> b"},
  });
}

TEST(JinjaLanguage, ListsAndDicts) {
  expect_renders({
      {R"~({{ [1, 'a', none, true, 2.5, {'k': 'v'}] }} {{ (1,) }} {{ () }} {{ (1, 2) }} {{ {} }} {{ [1, 2,] }} {{ {'a': 1,} }})~",
       R"~([1, 'a', None, True, 2.5, {'k': 'v'}] (1,) () (1, 2) {} [1, 2] {'a': 1})~"},
      {"{{ [quotes] }} {{ [\"it's\", 'a\"b'] }} {{ ['\\n\\t\\r\\\\', '\\x00\\x7f', "
       "'\\u200b\\u3000\\u2028\\xad', 'é☃😀'] }}",
       "['it\\'s \"q\"\\n\\t\\\\'] [\"it's\", 'a\"b'] ['\\n\\t\\r\\\\', '\\x00\\x7f', "
       "'\\u200b\\u3000\\u2028\\xad', 'é☃😀']"},
      {R"~({{ {1: 2, 1.0: 3, true: 4} }} {{ {'b': 1, 'a': 2, 'b': 3} }} {{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([('a', 1)]) }})~",
       R"~({1: 4} {'b': 3, 'a': 2} {'a': 1, 'b': 'x'} {'a': 1, 'b': 2} {'a': 1})~"},
      {R"~({{ table.b }} {{ table['b'] }} [{{ table.zzz }}] {{ table.c.k[1] }} {{ table.c.k.1 }} {{ table['items'] }} {{ {}['items'] is defined }} {{ {}.get is defined }})~",
       R"~(1 1 [] 2 2 5 True True)~"},
      {R"~({{ table.get('zz') }} {{ table.get('zz', 'd') }} {{ table.get('b') }} {{ table.keys()|list }} {{ table.values()|list }} {{ table.items()|list }} {{ table|items|list }})~",
       R"~(None d 1 ['b', 'A', 'c', 'items'] [1, 2, {'k': [1, 2]}, 5] [('b', 1), ('A', 2), ('c', {'k': [1, 2]}), ('items', 5)] [('b', 1), ('A', 2), ('c', {'k': [1, 2]}), ('items', 5)])~"},
      {R"~({{ table|length }} {{ table|list }} {{ table|dictsort }} {{ {'b': 1, 'B': 2, 'a': 3}|dictsort(true) }} {{ {'b': 1, 'a': 2}|dictsort(false, 'value', true) }})~",
       R"~(4 ['b', 'A', 'c', 'items'] [('A', 2), ('b', 1), ('c', {'k': [1, 2]}), ('items', 5)] [('B', 2), ('a', 3), ('b', 1)] [('a', 2), ('b', 1)])~"},
      {R"~({{ 3 in list }} {{ 9 in list }} {{ 'b' in table }} {{ 'He' in text }} {{ 'x' not in text }} {{ 'a' in missing }} {{ [1] in [[1]] }})~",
       R"~(True False True True True False True)~"},
      {R"~({{ [1, 2] == [1, 2] }} {{ (1, 2) == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ [1, 2] < [1, 3] }} {{ 'a' < 'b' }} {{ nothing == none }} {{ missing == missing2 }})~",
       R"~(True False True True True True True)~"},
      {R"~({{ [1] + [2] }} {{ (1,) + (2,) }} {{ list|first }} {{ list|last }} [{{ []|first }}] {{ text|first }} {{ list|reverse|list }} {{ list.index(1) }} {{ list.count(1) }})~",
       R"~([1, 2] (1, 2) 3 2 [] H [2, 1, 3] 1 1)~"},
      {R"~({{ list|sort }} {{ list|sort(reverse=true) }} {{ ['b', 'A', 'c']|sort }} {{ ['b', 'A', 'B']|sort(case_sensitive=true) }} {{ messages|sort(attribute='n', reverse=true)|map(attribute='n')|list }})~",
       R"~([1, 2, 3] [3, 2, 1] ['A', 'b', 'c'] ['A', 'B', 'b'] [3, 2, 1])~"},
      {R"~({{ [{'a': {'b': 2}}, {'a': {'b': 1}}]|sort(attribute='a.b') }} {{ [[1, 2], [3, 4]]|map(attribute=0)|list }} {{ [[1, 2], [3, 4]]|map(attribute='1')|list }})~",
       R"~([{'a': {'b': 1}}, {'a': {'b': 2}}] [1, 3] [2, 4])~"},
      {R"~({{ messages|map(attribute='role')|unique|list }} {{ messages|map(attribute='zz', default='k')|list }} {{ ['a', 'b']|map('upper')|list }} {{ ['ab', 'cb']|map('replace', 'b', 'x')|list }} {{ nothing|map('upper')|list }})~",
       R"~(['user', 'assistant'] ['k', 'k', 'k'] ['A', 'B'] ['ax', 'cx'] [])~"},
      {R"~({{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|selectattr('content')|list|length }} {{ messages|rejectattr('role', 'eq', 'user')|map(attribute='n')|list }})~",
       R"~(2 2 [2])~"},
      {R"~({{ [1, 2, 3, 4]|select('odd')|list }} {{ [1, 2, 3]|reject('in', [1])|list }} {{ [0, 1, '', none, 'a']|select|list }} {{ [1, 1, 'a', 'A']|unique|list }})~",
       R"~([1, 3] [2, 3] [1, 'a'] [1, 'a'])~"},
      {R"~({{ list|join(',') }} {{ [1, none, 'a']|join('-') }} {{ messages|join(',', attribute='role') }} {{ text|join('-') }} {{ table|join }})~",
       R"~(3,1,2 1-None-a user,assistant,user H-e-l-l-o-,- -W-o-r-l-d bAcitems)~"},
  });
}

TEST(JinjaLanguage, TestsAndDefaults) {
  expect_renders({
      {R"~({{ seven is defined }} {{ missing is defined }} {{ missing is undefined }} {{ nothing is none }} {{ table.zz is not defined }} {{ yes is true }} {{ 1 is true }} {{ no is false }})~",
       R"~(True False True True True True False True)~"},
      {R"~({{ seven is number }} {{ yes is number }} {{ seven is integer }} {{ yes is integer }} {{ half is float }} {{ yes is boolean }} {{ text is string }} {{ text is not string }})~",
       R"~(True True True False True True True False)~"},
      {R"~({{ table is mapping }} {{ list is mapping }} {{ list is sequence }} {{ text is sequence }} {{ seven is sequence }} {{ table is iterable }} {{ nothing is iterable }} {{ missing is iterable }} {{ range is callable }})~",
       R"~(True False True True False True False True True)~"},
      {R"~({{ seven is odd }} {{ seven is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ seven is eq 7 }} {{ seven is gt 7 }} {{ seven is ge(7) }} {{ 3 is in [1, 3] }} {{ 'abc' is lower }} {{ 'a' is upper }} {{ nothing is sameas none }})~",
       R"~(True False True False True False True True True False True)~"},
      {R"~({{ not text is string }} {{ text is string and seven is number or no }} {{ 'x' if text is string else 'y' }})~",
       R"~(False True x)~"},
      {R"~([{{ missing }}] [{{ missing ~ 'a' }}] {{ missing|length }} [{{ missing|upper }}] {{ missing|list }} [{{ missing|join }}] {{ missing or 'y' }})~",
       R"~([] [a] 0 [] [] [] y)~"},
      {R"~({{ missing|default('x') }} {{ nothing|default('x') }} {{ nothing|default('x', true) }} [{{ ''|default('x') }}] {{ ''|d('x', boolean=true) }} {{ table.zz|default('q') }} {{ messages[10].role|default('none') if messages[10] is defined else '-' }})~",
       R"~(x None x [] x q -)~"},
      {R"~({{ nothing }} {{ yes }} {{ seven|string }} {{ list|string|length }} {{ '<&>'|safe }})~",
       R"~(None True 7 9 <&>)~"},
  });
}

TEST(JinjaLanguage, Json) {
  expect_renders({
      {R"~({{ table|tojson }}|{{ accents|tojson }}|{{ accents|tojson(ensure_ascii=true) }}|{{ quotes|tojson }}|{{ '\x7f\x01/\b\f'|tojson }})~",
       "{\"b\": 1, \"A\": 2, \"c\": {\"k\": [1, 2]}, \"items\": 5}|\"héllo wörld ☃ "
       "😀\"|\"h\\u00e9llo w\\u00f6rld \\u2603 \\ud83d\\ude00\"|\"it's "
       "\\\"q\\\"\\n\\t\\\\\"|\"\177\\u0001/\\b\\f\""},
      {R"~({{ messages|tojson(indent=4) }})~",
       "[\n    {\n        \"role\": \"user\",\n        \"content\": \"Hi\",\n        \"n\": 1\n    "
       "},\n    {\n        \"role\": \"assistant\",\n        \"content\": \"Yo\",\n        \"n\": "
       "2\n    },\n    {\n        \"role\": \"user\",\n        \"content\": null,\n        \"n\": "
       "3\n    }\n]"},
      {R"~({{ {}|tojson(indent=2) }}{{ []|tojson(indent=2) }}{{ [[], {}, [1]]|tojson(indent=1) }}{{ [1]|tojson(indent='--') }}{{ [1]|tojson(indent=0) }})~",
       "{}[][\n [],\n {},\n [\n  1\n ]\n][\n--1\n][\n1\n]"},
      {R"~({{ table|tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ {1: 2, none: 3, true: 1.5}|tojson }} {{ (1, 2)|tojson }})~",
       R"~({"b":1,"A":2,"c":{"k":[1,2]},"items":5} {"a": 2, "b": 1} {"1": 1.5, "null": 3} [1, 2])~"},
      {R"~({{ 2.5|tojson }} {{ 1e16|tojson }} {{ true|tojson }} {{ none|tojson }} {{ 'a'|tojson }})~",
       R"~(2.5 1e+16 true null "a")~"},
      {R"~({{ '{"b": [1, 2.5, null, true], "a": "\\u00e9"}'|from_json }})~",
       "{'b': [1, 2.5, None, True], 'a': 'é'}"},
  });
}

TEST(JinjaLanguage, Dates) {
  expect_renders({
      {R"~({{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %B %A %j %-d %-m %H:%M %%') }} {{ strftime_now is defined }})~",
       R"~(26 Jul 2024 2024-07-26 July Friday 208 26 7 00:00 % True)~"},
  });
}
}  // namespace
}  // namespace octavo::text
