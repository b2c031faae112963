// From JSON, as messages and tools arrive, to the values of templates.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "text/jinja_runtime.h"

namespace octavo::text::jinja {

// Keeps the order of keys; broken UTF-8 becomes U+FFFD. Fails for what nests too deep.
Value from_json(Runtime& runtime, const nlohmann::ordered_json& json);

}  // namespace octavo::text::jinja
