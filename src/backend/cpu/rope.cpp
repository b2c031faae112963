#include "backend/cpu/rope.h"

#include <cmath>

#include "backend/cpu/parallel.h"
#include "base/check.h"

namespace octavo::cpu {

RopeAngles RopeCache::angles(const RopeTable& table, const Batch& batch, ThreadPool& pool,
                             ScratchArena& scratch) {
  for (const Entry& entry : entries_) {
    if (entry.table == &table) return entry.angles;
  }
  const size_t pairs = table.frequencies.size();
  const size_t tokens = batch.tokens.size();
  float* cosines = scratch.take_array<float>(tokens * pairs);
  float* sines = scratch.take_array<float>(tokens * pairs);
  for_rows(pool, batch.token_count(), static_cast<int64_t>(pairs) * 16,
           [&](int64_t first, int64_t last) {
             for (auto row = static_cast<size_t>(first); row < static_cast<size_t>(last); ++row) {
               for (size_t i = 0; i < pairs; ++i) {
                 // In double: the product reaches many thousand radians, of which a float keeps
                 // few digits after the point.
                 const double angle = static_cast<double>(batch.positions[row]) *
                                      static_cast<double>(table.frequencies[i]);
                 const auto magnitude = static_cast<double>(table.magnitude);
                 cosines[row * pairs + i] = static_cast<float>(std::cos(angle) * magnitude);
                 sines[row * pairs + i] = static_cast<float>(std::sin(angle) * magnitude);
               }
             }
           });
  entries_.push_back({&table, {cosines, sines, static_cast<int32_t>(pairs)}});
  return entries_.back().angles;
}

void rotate_and_store(const StoreCall& call, const RopeAngles& angles, const Kernels& kernels,
                      ThreadPool& pool) {
  const KvShape& shape = call.store.shape();
  const CpuKvStore::LayerPlace place = call.store.place(call.layer);
  const GroupTables& tables = call.batch.groups[static_cast<size_t>(place.group)];
  const auto heads = static_cast<int32_t>(call.q.columns / shape.head_dim);
  OCTAVO_CHECK(call.q.columns == int64_t{heads} * shape.head_dim);
  OCTAVO_CHECK(call.k.columns == int64_t{shape.kv_heads} * shape.head_dim &&
               call.v.columns == call.k.columns);
  OCTAVO_CHECK(2 * angles.pairs <= shape.head_dim, "{} rotated dimensions in a head of {}",
               2 * angles.pairs, shape.head_dim);

  const auto store_rows = [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float* cosines = angles.row_cosines(row);
      const float* sines = angles.row_sines(row);
      kernels.rotate_row(call.q.row(row), heads, shape.head_dim, cosines, sines, angles.pairs,
                         call.interleaved);
      kernels.rotate_row(call.k.row(row), shape.kv_heads, shape.head_dim, cosines, sines,
                         angles.pairs, call.interleaved);

      const int32_t slot = tables.slots[static_cast<size_t>(row)];
      OCTAVO_CHECK(slot >= 0, "row {} has slot {}", row, slot);
      const int32_t offset = slot % shape.block_size;
      std::byte* head = call.store.head(slot / shape.block_size, place.index, 0);
      StoredRow stored;
      stored.key = call.k.row(row);
      stored.value = call.v.row(row);
      stored.key_tile = head + offset / kKeyTile * call.store.tile_bytes();
      stored.lane = offset % kKeyTile;
      stored.value_row = head + call.store.value_offset() + offset * call.store.row_bytes();
      stored.head_bytes = call.store.head_bytes();
      stored.kv_heads = shape.kv_heads;
      stored.head_dim = shape.head_dim;
      stored.type = shape.type;
      kernels.store_row(stored);
    }
  };
  for_rows(pool, call.q.rows, call.q.columns + call.k.columns + call.v.columns, store_rows);
}

}  // namespace octavo::cpu
