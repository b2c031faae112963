// One loader per architecture family; model.cpp chooses by general.architecture.
#pragma once

#include <memory>

#include "model/model.h"

namespace octavo {

Result<std::unique_ptr<Model>> load_llama(const gguf::File& file, Backend& backend);
Result<std::unique_ptr<Model>> load_qwen2(const gguf::File& file, Backend& backend);
Result<std::unique_ptr<Model>> load_qwen3(const gguf::File& file, Backend& backend);
Result<std::unique_ptr<Model>> load_gemma3(const gguf::File& file, Backend& backend);

}  // namespace octavo
