// Which model a name means: a GGUF file's path, or the small model that is built into the program.
//
// This is the one place that knows. The built-in model's bytes lie in the program itself and are
// used there: nothing is extracted or copied. A build with OCTAVO_EMBED_MODEL=OFF carries none.
// Stateless; any thread may call.
#pragma once

#include <string>
#include <string_view>

#include "gguf/file.h"
#include "octavo/result.h"

namespace octavo::gguf {

// EngineConfig::model_path has this value where nobody gives another. A file of this name is
// "./builtin".
constexpr std::string_view builtin_model_name = "builtin";

// The error of a build without the model says how to give one.
Result<File> open_model(const std::string& name);

}  // namespace octavo::gguf
