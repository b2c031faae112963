#include "model/model.h"

#include <array>

#include "base/error.h"
#include "model/families.h"

namespace octavo {
namespace {

struct Family {
  std::string_view architecture;
  Result<std::unique_ptr<Model>> (*load)(const gguf::File&, Backend&);
};

constexpr std::array<Family, 4> kFamilies = {{
    {"llama", load_llama},
    {"qwen2", load_qwen2},
    {"qwen3", load_qwen3},
    {"gemma3", load_gemma3},
}};

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const gguf::File& file, Backend& backend) {
  OCTAVO_ASSIGN(const std::string architecture, file.metadata().string("general.architecture"));
  std::string supported;
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return family.load(file, backend);
    supported += supported.empty() ? "" : ", ";
    supported += family.architecture;
  }
  return unsupported("{}: architecture '{}' is not supported; supported are {}", file.path(),
                     printable(architecture), supported);
}

}  // namespace octavo
