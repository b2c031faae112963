#include "cli/kv_estimate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"

namespace octavo::cli {
namespace {

constexpr uint64_t kBlockTokens = 16;

// Far above any model. With these no product below leaves 64 bits.
constexpr uint32_t kMaxLayers = 1024;
constexpr uint32_t kMaxHeads = 4096;
constexpr uint32_t kMaxHeadLength = 8192;
constexpr uint32_t kMaxEmbedding = kMaxHeads * kMaxHeadLength;
constexpr uint32_t kMaxTokens = 1u << 25;
static_assert(uint64_t{kMaxLayers} * kMaxHeads * kMaxHeadLength * 2 * sizeof(float) <=
              ~uint64_t{0} / (uint64_t{kMaxTokens} + kBlockTokens));

uint64_t whole_blocks(uint64_t tokens) {
  return (tokens + kBlockTokens - 1) / kBlockTokens * kBlockTokens;
}

// Looks keys of the model's architecture up, with a limit on each number.
class Keys {
 public:
  Keys(const gguf::Metadata& metadata, const std::string& architecture)
      : metadata_(metadata), prefix_(architecture + ".") {}

  std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  bool has(std::string_view key) const { return metadata_.has(name(key)); }

  Result<uint32_t> number(std::string_view key, uint32_t limit) const {
    OCTAVO_ASSIGN(const uint32_t value, metadata_.u32(name(key)));
    OCTAVO_TRY(check(key, value, limit));
    return value;
  }

  // One number per layer: an array of them, or one for all.
  Result<std::vector<uint32_t>> per_layer(std::string_view key, size_t layers,
                                          uint32_t limit) const {
    const gguf::Value* value = metadata_.find(name(key));
    if (value == nullptr || value->type != gguf::ValueType::array) {
      OCTAVO_ASSIGN(const uint32_t all, number(key, limit));
      return std::vector<uint32_t>(layers, all);
    }
    OCTAVO_ASSIGN(const std::vector<int32_t> each, metadata_.i32s(name(key)));
    if (each.size() != layers) {
      return invalid_input("{}: key '{}': {} elements for {} layers", metadata_.source(),
                           printable(name(key)), each.size(), layers);
    }
    std::vector<uint32_t> numbers;
    for (const int32_t element : each) {
      OCTAVO_TRY(check(key, element, limit));
      numbers.push_back(static_cast<uint32_t>(element));
    }
    return numbers;
  }

 private:
  Result<void> check(std::string_view key, int64_t value, uint32_t limit) const {
    if (value >= 0 && value <= int64_t{limit}) return {};
    return invalid_input("{}: key '{}': {} is not between 0 and {}", metadata_.source(),
                         printable(name(key)), value, limit);
  }

  const gguf::Metadata& metadata_;
  const std::string prefix_;
};

bool is_windowed(const std::string& architecture, size_t layer) {
  if (architecture == "llama") return true;
  if (architecture == "gemma2") return layer % 2 == 0;
  if (architecture == "gemma3") return layer % 6 != 5;
  return false;
}

// Bytes of K and V together that one KV head keeps for a token.
Result<uint64_t> head_bytes(const Keys& keys, DType type) {
  uint32_t default_length = 0;
  if (!keys.has("attention.key_length") || !keys.has("attention.value_length")) {
    OCTAVO_ASSIGN(const uint32_t embedding, keys.number("embedding_length", kMaxEmbedding));
    OCTAVO_ASSIGN(const std::vector<uint32_t> heads,
                  keys.per_layer("attention.head_count", 1, kMaxHeads));
    default_length = embedding / std::max(heads[0], 1u);
  }
  uint64_t bytes = 0;
  for (const std::string_view key : {"attention.key_length", "attention.value_length"}) {
    uint32_t length = std::min(default_length, kMaxHeadLength);
    if (keys.has(key)) {
      OCTAVO_ASSIGN(length, keys.number(key, kMaxHeadLength));
    }
    if (length % info(type).block_elements != 0) {
      return unsupported("{}: {} needs heads of a multiple of {} dimensions, not of {}",
                         keys.name(key), info(type).name, info(type).block_elements, length);
    }
    bytes += row_bytes(type, length);
  }
  return bytes;
}

}  // namespace

uint64_t KvEstimate::sequence_bytes(uint64_t tokens) const {
  // The window reaches into one block more than it fills when it does not start at a block's edge.
  const uint64_t windowed = std::min(whole_blocks(tokens), whole_blocks(window) + kBlockTokens);
  return whole_blocks(tokens) * global_bytes_per_token + windowed * windowed_bytes_per_token;
}

uint64_t KvEstimate::longest_sequence(uint64_t bytes) const {
  uint64_t fits = 0;
  uint64_t too_long = context_length + 1;
  while (fits + 1 < too_long) {
    const uint64_t middle = fits + (too_long - fits) / 2;
    (sequence_bytes(middle) <= bytes ? fits : too_long) = middle;
  }
  return fits;
}

Result<KvEstimate> estimate_kv(const gguf::Metadata& metadata, DType type) {
  OCTAVO_ASSIGN(const std::string architecture, metadata.string("general.architecture"));
  const Keys keys(metadata, architecture);
  KvEstimate estimate;
  OCTAVO_ASSIGN(estimate.context_length, keys.number("context_length", kMaxTokens));
  OCTAVO_ASSIGN(const uint32_t layers, keys.number("block_count", kMaxLayers));
  const bool grouped = keys.has("attention.head_count_kv");
  OCTAVO_ASSIGN(const std::vector<uint32_t> kv_heads,
                keys.per_layer(grouped ? "attention.head_count_kv" : "attention.head_count", layers,
                               kMaxHeads));
  OCTAVO_ASSIGN(const uint64_t bytes_per_head, head_bytes(keys, type));
  uint32_t window = 0;
  if (keys.has("attention.sliding_window")) {
    OCTAVO_ASSIGN(window, keys.number("attention.sliding_window", kMaxTokens));
  }
  for (size_t layer = 0; layer < layers; ++layer) {
    const uint64_t bytes = kv_heads[layer] * bytes_per_head;
    const bool has_window = window > 0 && is_windowed(architecture, layer);
    estimate.layer_windows.push_back(has_window ? static_cast<int32_t>(window) : 0);
    if (has_window) {
      estimate.window = window;
      estimate.windowed_bytes_per_token += bytes;
    } else {
      estimate.global_bytes_per_token += bytes;
    }
  }
  return estimate;
}

}  // namespace octavo::cli
