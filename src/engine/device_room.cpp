#include "engine/device_room.h"

#include "base/error.h"

namespace octavo {
namespace {

double gib(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30);
}

}  // namespace

Result<void> check_model_room(const gguf::File& file, const std::string& device,
                              const DeviceMemory& memory) {
  int64_t weights = 0;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    weights += static_cast<int64_t>(tensor.bytes);
  }
  if (weights + memory.scratch <= memory.free) return {};
  return resource_error(
      "{}: {:.2f} GiB of weights and {:.2f} GiB to compute with do not fit, device {} has {:.2f} "
      "GiB free of {:.2f}; another --device or a smaller model would do",
      file.path(), gib(weights), gib(memory.scratch), device, gib(memory.free), gib(memory.total));
}

int64_t step_bytes(const ModelShape& shape, int64_t tokens, int64_t outputs) {
  // Partial sums, parts of weights and what libraries ask for.
  constexpr int64_t kRest = int64_t{256} << 20;
  const int64_t logits = int64_t{shape.vocabulary} * static_cast<int64_t>(sizeof(float));
  // A product's activations are there in 16 bits, too: less than a quarter of all.
  return tokens * (shape.token_bytes + shape.token_bytes / 4 + logits) + outputs * logits + kRest;
}

Result<void> check_kv_room(const KvShape& shape, int64_t bytes, const std::string& device,
                           bool device_limit) {
  const auto groups = static_cast<int64_t>(shape.groups.size());
  const int64_t block_bytes = shape.block_bytes();
  if (bytes / block_bytes >= groups) return {};
  if (device_limit) {
    return resource_error(
        "kv-memory: the {} bytes that device {} has left are less than one block of each KV group "
        "({} x {} bytes); another --device or a smaller model would do",
        bytes, device, groups, block_bytes);
  }
  return invalid_input(
      "kv-memory: {} bytes are less than one block of each KV group ({} x {} bytes)", bytes, groups,
      block_bytes);
}

}  // namespace octavo
