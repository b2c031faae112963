// Parses a template by recursive descent, with Jinja2's grammar and precedences.
#pragma once

#include <string_view>

#include "text/jinja_ast.h"

namespace octavo::text::jinja {

// Throws TemplateError.
Block parse(std::string_view source);

}  // namespace octavo::text::jinja
