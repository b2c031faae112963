#include "backend/cuda/cuda_kv_store.h"

#include <limits>

#include "backend/backend.h"
#include "backend/cuda/attention.h"
#include "backend/cuda/create_cuda_backend.h"
#include "base/check.h"
#include "base/error.h"

namespace octavo::cuda {
namespace {

constexpr size_t kExtentBytes = size_t{16} << 20;

Result<void> check_shape(const KvShape& shape, int64_t block_count) {
  if (shape.type != DType::f32 && shape.type != DType::f16 && shape.type != DType::bf16) {
    return unsupported("KV cache: type {} is not one that a CUDA device keeps: f32, f16, bf16",
                       kv_type_name(shape.type));
  }
  if (shape.block_size < 16 || kAttentionSegment % shape.block_size != 0) {
    return unsupported("KV cache: block size {} is not one of 16, 32, 64, 128, 256",
                       shape.block_size);
  }
  if (shape.head_dim < 1 || shape.head_dim > kMaxAttentionHeadDim) {
    return unsupported("KV cache: head dimension {} is not between 1 and {}", shape.head_dim,
                       kMaxAttentionHeadDim);
  }
  OCTAVO_CHECK(shape.kv_heads > 0 && shape.layers_per_block > 0);
  if (block_count < 1 || block_count > std::numeric_limits<int32_t>::max() / shape.block_size ||
      block_count > std::numeric_limits<int64_t>::max() / shape.block_bytes()) {
    return invalid_input("KV cache: {} blocks of {} bytes cannot be addressed", block_count,
                         shape.block_bytes());
  }
  const auto bytes = static_cast<size_t>(shape.block_bytes() * block_count);
  const DeviceMemoryInfo memory = device_memory();
  if (bytes + kScratchReserve > memory.free) {
    return resource_error(
        "{} bytes do not fit, the device has {} free of {}, of which {} are needed to compute",
        bytes, memory.free, memory.total, kScratchReserve);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<CudaKvStore>> CudaKvStore::create(const KvShape& shape,
                                                         int64_t block_count) {
  OCTAVO_TRY(check_shape(shape, block_count));
  OCTAVO_ASSIGN(
      ReservedMemory memory,
      ReservedMemory::create(static_cast<size_t>(shape.block_bytes() * block_count), kExtentBytes));
  std::unique_ptr<CudaKvStore> store(new CudaKvStore(shape, block_count, std::move(memory)));
  for (size_t group = 0; group < shape.groups.size(); ++group) {
    const std::vector<int32_t>& layers = shape.groups[group].layers;
    OCTAVO_CHECK(layers.size() <= static_cast<size_t>(shape.layers_per_block));
    for (size_t index = 0; index < layers.size(); ++index) {
      const auto layer = static_cast<size_t>(layers[index]);
      if (layer >= store->places_.size()) store->places_.resize(layer + 1);
      store->places_[layer] = {static_cast<int32_t>(group), static_cast<int32_t>(index)};
    }
  }
  return store;
}

Result<void> CudaKvStore::commit(int64_t first_block, int64_t count) {
  check_range(first_block, count);
  const auto bytes = static_cast<size_t>(shape_.block_bytes());
  return memory_.commit(static_cast<size_t>(first_block) * bytes,
                        static_cast<size_t>(first_block + count) * bytes);
}

void CudaKvStore::release(int64_t first_block, int64_t count) {
  check_range(first_block, count);
  const auto bytes = static_cast<size_t>(shape_.block_bytes());
  const bool to_the_end = first_block + count == block_count_;
  memory_.release(static_cast<size_t>(first_block) * bytes,
                  to_the_end ? memory_.bytes() : static_cast<size_t>(first_block + count) * bytes);
}

std::byte* CudaKvStore::block(int64_t block) const {
  OCTAVO_CHECK(block >= 0 && block < block_count_, "block {} of {}", block, block_count_);
  return memory_.data() + block * shape_.block_bytes();
}

const CudaKvStore::Place& CudaKvStore::place(int32_t layer) const {
  const auto index = static_cast<size_t>(layer);
  OCTAVO_CHECK(layer >= 0 && index < places_.size() && places_[index].group >= 0,
               "layer {} is in no KV group", layer);
  return places_[index];
}

int32_t CudaKvStore::group(int32_t layer) const {
  return place(layer).group;
}

KvView CudaKvStore::view(int32_t layer) const {
  const int64_t layer_bytes = shape_.token_layer_bytes() * shape_.block_size;
  KvView view = {};
  view.memory = memory_.data();
  view.block_bytes = shape_.block_bytes();
  view.key_offset = place(layer).index * layer_bytes;
  view.value_offset = view.key_offset + layer_bytes / 2;
  view.block_size = shape_.block_size;
  view.kv_heads = shape_.kv_heads;
  view.head_dim = shape_.head_dim;
  view.type = shape_.type;
  return view;
}

}  // namespace octavo::cuda
