// Feeds arbitrary bytes to the GGUF reader and uses whatever it accepts.
#include <cstddef>
#include <cstdint>

#include "gguf/read_everything.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  octavo::gguf::read_everything(reinterpret_cast<const std::byte*>(data), size);
  return 0;
}
