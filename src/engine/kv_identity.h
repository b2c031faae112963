// What the bytes of a KV block depend on besides the tokens: the model, the cache's layout, the
// arithmetic. Two runs may exchange blocks when their identities are equal.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "backend/kv_store.h"
#include "gguf/file.h"

namespace octavo {

// A hash of everything in the file: metadata (the rope parameters among them), names, types,
// shapes and bytes of all tensors. A model that differs in one weight has another one; a copy of
// the file has the same. Reads the whole file, which is why it is not done before the first
// request; nothing when it was told to stop. Pages it touched are given back as they are read, so
// that the process does not grow. Any thread.
std::optional<std::string> content_hash(const gguf::File& file, const std::stop_token& stop);

// One line. The program's version is part of it, for with it kernels and layouts change, and so is
// the arithmetic mode (backend/create_backend.h).
std::string kv_identity(const std::string& model_hash, const KvShape& shape,
                        const std::string& arithmetic_mode);

}  // namespace octavo
