#include "backend/cpu/cpu_kv_store.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "backend/backend.h"
#include "backend/cpu/kernel_args.h"
#include "base/check.h"
#include "base/error.h"

namespace octavo::cpu {
namespace {

constexpr int32_t kMaxLayers = 4096;
constexpr int32_t kMaxKvHeads = 4096;

Result<void> check_shape(const KvShape& shape, int64_t block_count) {
  if (shape.block_size < kKeyTile || shape.block_size % kKeyTile != 0 ||
      kAttentionSegment % shape.block_size != 0) {
    return unsupported("KV cache: block size {} is not one of 16, 32, 64, 128, 256",
                       shape.block_size);
  }
  if (shape.head_dim < 1 || shape.head_dim > kMaxHeadDim) {
    return unsupported("KV cache: head dimension {} is not between 1 and {}", shape.head_dim,
                       kMaxHeadDim);
  }
  OCTAVO_TRY(check_kv_type(shape));
  if (shape.kv_heads < 1 || shape.kv_heads > kMaxKvHeads) {
    return unsupported("KV cache: {} KV heads, not between 1 and {}", shape.kv_heads, kMaxKvHeads);
  }
  if (shape.layers_per_block < 1 || shape.layers_per_block > kMaxLayers) {
    return unsupported("KV cache: {} layers per block, not between 1 and {}",
                       shape.layers_per_block, kMaxLayers);
  }
  if (block_count < 1 || block_count > std::numeric_limits<int32_t>::max() / shape.block_size ||
      block_count > std::numeric_limits<int64_t>::max() / shape.block_bytes()) {
    return invalid_input("KV cache: {} blocks of {} bytes cannot be addressed", block_count,
                         shape.block_bytes());
  }
  return {};
}

// The place of every layer of the model, or what is wrong with the groups.
Result<std::vector<CpuKvStore::LayerPlace>> place_layers(const KvShape& shape) {
  std::vector<CpuKvStore::LayerPlace> places;
  for (size_t group = 0; group < shape.groups.size(); ++group) {
    const std::vector<int32_t>& layers = shape.groups[group].layers;
    if (layers.size() > static_cast<size_t>(shape.layers_per_block)) {
      return invalid_input("KV cache: group {} has {} layers, a block has room for {}", group,
                           layers.size(), shape.layers_per_block);
    }
    for (size_t index = 0; index < layers.size(); ++index) {
      const int32_t layer = layers[index];
      if (layer < 0 || layer >= kMaxLayers) {
        return unsupported("KV cache: layer {} is not between 0 and {}", layer, kMaxLayers - 1);
      }
      const auto position = static_cast<size_t>(layer);
      if (position >= places.size()) places.resize(position + 1);
      if (places[position].group >= 0) {
        return invalid_input("KV cache: layer {} is in groups {} and {}", layer,
                             places[position].group, group);
      }
      places[position] = {static_cast<int32_t>(group), static_cast<int32_t>(index)};
    }
  }
  return places;
}

}  // namespace

Result<std::unique_ptr<CpuKvStore>> CpuKvStore::create(const KvShape& shape, int64_t block_count) {
  OCTAVO_TRY(check_shape(shape, block_count));
  OCTAVO_ASSIGN(std::vector<LayerPlace> places, place_layers(shape));
  const auto bytes = static_cast<size_t>(shape.block_bytes() * block_count);
  // Reserved, not taken: a page costs memory once something is written to it.
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return resource_error("cannot reserve {} KV blocks of {} bytes: {}", block_count,
                          shape.block_bytes(), std::strerror(errno));
  }
  std::unique_ptr<CpuKvStore> store(
      new CpuKvStore(shape, block_count, static_cast<std::byte*>(memory), bytes));
  store->places_ = std::move(places);
  return store;
}

CpuKvStore::CpuKvStore(const KvShape& shape, int64_t block_count, std::byte* memory,
                       size_t memory_bytes)
    : shape_(shape),
      block_count_(block_count),
      row_bytes_(
          static_cast<int64_t>(octavo::row_bytes(shape.type, static_cast<size_t>(shape.head_dim)))),
      head_bytes_(2 * shape.block_size * row_bytes_),
      block_bytes_(shape.block_bytes()),
      memory_(memory),
      memory_bytes_(memory_bytes) {}

CpuKvStore::~CpuKvStore() {
  OCTAVO_CHECK(munmap(memory_, memory_bytes_) == 0, "munmap of {} bytes", memory_bytes_);
}

Result<void> CpuKvStore::commit(int64_t first_block, int64_t count) {
  // The system gives each page as it is first written.
  check_range(first_block, count);
  return {};
}

void CpuKvStore::release(int64_t first_block, int64_t count) {
  check_range(first_block, count);
  // Only pages that lie wholly inside the range: their neighbours hold other blocks' bytes.
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const int64_t first_byte = (first_block * block_bytes_ + page - 1) / page * page;
  int64_t last_byte = (first_block + count) * block_bytes_;
  // Behind the last block there is nothing but the rest of its page.
  if (first_block + count < block_count_) last_byte = last_byte / page * page;
  if (first_byte >= last_byte) return;
  const int result =
      madvise(memory_ + first_byte, static_cast<size_t>(last_byte - first_byte), MADV_DONTNEED);
  OCTAVO_CHECK(result == 0, "madvise: {}", std::strerror(errno));
}

CpuKvStore::LayerPlace CpuKvStore::place(int32_t layer) const {
  const auto index = static_cast<size_t>(layer);
  OCTAVO_CHECK(layer >= 0 && index < places_.size() && places_[index].group >= 0,
               "layer {} is in no KV group", layer);
  return places_[index];
}

std::byte* CpuKvStore::block(int64_t id) const {
  OCTAVO_CHECK(id >= 0 && id < block_count_, "block {} of {}", id, block_count_);
  return memory_ + id * block_bytes_;
}

std::byte* CpuKvStore::head(int64_t block_id, int32_t layer_index, int32_t kv_head) const {
  return block(block_id) +
         (static_cast<int64_t>(layer_index) * shape_.kv_heads + kv_head) * head_bytes_;
}

}  // namespace octavo::cpu
