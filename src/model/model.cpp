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

// The family of the file's architecture.
Result<const Family*> find_family(const gguf::File& file) {
  OCTAVO_ASSIGN(const std::string architecture, file.metadata().string("general.architecture"));
  std::string supported;
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return &family;
    supported += supported.empty() ? "" : ", ";
    supported += family.architecture;
  }
  return unsupported("{}: architecture '{}' is not supported; supported are {}", file.path(),
                     printable(architecture), supported);
}

}  // namespace

Result<void> Model::check_architecture(const gguf::File& file) {
  OCTAVO_TRY(find_family(file));
  return {};
}

Result<std::unique_ptr<Model>> Model::load(const gguf::File& file, Backend& backend) {
  OCTAVO_ASSIGN(const Family* family, find_family(file));
  if (file.tensors().empty()) {
    return invalid_input("{}: there are no tensors in it, only a vocabulary", file.path());
  }
  return family->load(file, backend);
}

}  // namespace octavo
