// What a user of a File may do with it, done to all of it: for tests and fuzzing. Header-only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "base/check.h"
#include "gguf/dequantize.h"
#include "gguf/file.h"

namespace octavo::gguf {

// Parses the bytes; checks that an error is one line that names the file; otherwise looks every
// key up in every way, and reads every tensor's first and last block. True when the file was
// valid.
inline bool read_everything(const std::byte* bytes, size_t size) {
  const Result<File> file = File::parse("fuzzed.gguf", bytes, size);
  if (!file) {
    const std::string& message = file.error().message;
    OCTAVO_CHECK(message.rfind("fuzzed.gguf: ", 0) == 0, "{}", message);
    OCTAVO_CHECK(message.find('\n') == std::string::npos, "{}", message);
    return false;
  }
  size_t found = 0;
  const Metadata& metadata = file->metadata();
  for (const std::string& key : metadata.keys()) {
    const bool any = metadata.u32(key).ok() || metadata.f32(key).ok() ||
                     metadata.boolean(key).ok() || metadata.string(key).ok() ||
                     metadata.strings(key).ok() || metadata.i32s(key).ok() ||
                     metadata.f32s(key).ok();
    found += any ? 1 : 0;
  }
  OCTAVO_CHECK(found <= metadata.keys().size());
  for (const TensorInfo& tensor : file->tensors()) {
    OCTAVO_CHECK(file->find_tensor(tensor.name) == &tensor);
    OCTAVO_CHECK(tensor.data >= bytes && tensor.data + tensor.bytes <= bytes + size);
    const DTypeInfo& type = info(tensor.type);
    std::vector<float> values(type.block_elements);
    dequantize_row(tensor.type, tensor.data, values.data(), values.size());
    const std::byte* last = tensor.data + tensor.bytes - type.block_bytes;
    dequantize_row(tensor.type, last, values.data(), values.size());
  }
  return true;
}

}  // namespace octavo::gguf
