// Reads the vectors that tools/make_gguf_vectors.py makes. Header-only, stateless.
#pragma once

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace octavo::gguf {

struct VectorFile {
  size_t block_count = 0;  // 0: the file is not there
  std::vector<char> payload;
};

// `folder` is "dequantize" or "quantize".
inline VectorFile read_vector_file(const std::string& folder, DType type) {
  std::string name(info(type).name);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::ifstream in(OCTAVO_TEST_DATA "/" + folder + "/" + name + ".bin", std::ios::binary);
  VectorFile file;
  uint32_t count = 0;
  if (!in.read(reinterpret_cast<char*>(&count), sizeof(count))) return file;
  file.block_count = count;
  file.payload.assign(std::istreambuf_iterator<char>(in), {});
  return file;
}

}  // namespace octavo::gguf
