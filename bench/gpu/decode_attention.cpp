// Attention of decoding sequences alone, on any device: decode_attention [DEVICE]
//
// Prints, for Llama 3.1 8B's heads and some batches, the time of one layer and the bytes of keys
// and values a second, as a share of what a copy on the same device attains in the same run.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "backend/create_backend.h"
#include "base/check.h"
#include "cli/device_probe.h"

namespace octavo {
namespace {

constexpr int32_t kHeads = 32;
constexpr int32_t kKvHeads = 8;
constexpr int32_t kHeadDim = 128;
constexpr int32_t kTableRows = 1024;  // of random values from which q, k and v are taken

using Clock = std::chrono::steady_clock;

// Rows [first, end) of every sequence as a step; owns what the batch's spans show.
struct Step {
  Step(int32_t sequences, int32_t first, int32_t end, int32_t length, int32_t block_size) {
    const int32_t blocks = (length + block_size - 1) / block_size;
    for (int32_t s = 0; s < sequences; ++s) {
      for (int32_t p = first; p < end; ++p) {
        positions.push_back(p);
        tokens.push_back((s * 131 + p) % kTableRows);
        slots.push_back(s * blocks * block_size + p);
      }
      q_starts.push_back(static_cast<int32_t>(positions.size()));
      lengths.push_back(end);
      table_starts.push_back((s + 1) * blocks);
    }
    ids.resize(static_cast<size_t>(sequences) * static_cast<size_t>(blocks));
    std::iota(ids.begin(), ids.end(), 0);
    batch.tokens = tokens;
    batch.positions = positions;
    batch.q_starts = q_starts;
    batch.kv_lengths = lengths;
    batch.groups = {{slots, table_starts, ids}};
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::vector<int32_t> tokens, positions, slots, lengths, ids;
  std::vector<int32_t> q_starts = {0};
  std::vector<int32_t> table_starts = {0};
  Batch batch;
};

std::unique_ptr<Weight> random_table(Backend& backend, int32_t columns) {
  std::mt19937 random(1);
  std::vector<float> values(static_cast<size_t>(kTableRows) * static_cast<size_t>(columns));
  for (float& value : values) value = static_cast<float>(random()) * 0x1p-31F - 1.0F;
  WeightSource source;
  source.name = "table";
  source.rows = kTableRows;
  source.columns = columns;
  source.data = reinterpret_cast<const std::byte*>(values.data());
  return backend.upload(source, WeightUse::table).value();
}

Tensor rows_of(Backend& backend, const Weight& table, const Batch& batch) {
  const Tensor out = backend.scratch(batch.token_count(), table.columns());
  backend.embed(out, table, 1.0F, batch);
  return out;
}

void wait_for(Backend& backend, Tensor x) {
  float number = 0.0F;
  backend.read({x.data, 1, 1}, std::span(&number, 1));
}

// Seconds of one layer's attention, the fastest of some rounds.
double seconds_of(Backend& backend, int32_t sequences, int32_t length) {
  KvShape shape;
  shape.layers_per_block = 1;
  shape.kv_heads = kKvHeads;
  shape.head_dim = kHeadDim;
  shape.groups = {{0, {0}}};
  const int64_t blocks = int64_t{sequences} * ((length + shape.block_size - 1) / shape.block_size);
  const auto store = backend.create_kv_store(shape, blocks).value();
  OCTAVO_CHECK(store->commit(0, blocks).ok());
  const auto q_table = random_table(backend, kHeads * kHeadDim);
  const auto kv_table = random_table(backend, kKvHeads * kHeadDim);
  RopeTable rope;
  rope.frequencies.assign(kHeadDim / 2, 0.01F);
  const int32_t rows = std::max(1, 8192 / sequences);
  for (int32_t first = 0; first < length; first += rows) {
    const Step step(sequences, first, std::min(first + rows, length), length, shape.block_size);
    backend.begin_step(step.batch);
    const Tensor q = rows_of(backend, *q_table, step.batch);
    const Tensor k = rows_of(backend, *kv_table, step.batch);
    const Tensor v = rows_of(backend, *kv_table, step.batch);
    backend.rope_and_store(q, k, v, 0, rope, step.batch, *store);
    wait_for(backend, q);
  }
  const Step step(sequences, length - 1, length, length, shape.block_size);
  const AttentionParams params{.scale = 1.0F / std::sqrt(static_cast<float>(kHeadDim))};
  constexpr int kCalls = 20;
  double fastest = 1e9;
  for (int round = 0; round < 6; ++round) {
    backend.begin_step(step.batch);
    const Tensor q = rows_of(backend, *q_table, step.batch);
    const Tensor out = backend.scratch(q.rows, q.columns);
    wait_for(backend, q);
    const auto start = Clock::now();
    for (int i = 0; i < kCalls; ++i) {
      backend.attention(out, q, 0, params, step.batch, *store);
    }
    wait_for(backend, out);
    const std::chrono::duration<double> taken = Clock::now() - start;
    fastest = std::min(fastest, taken.count() / kCalls);
  }
  return fastest;
}

void print_table(const std::string& device) {
  const auto backend = create_backend({.device = device}).value();
  const cli::DeviceProbe probe = cli::probe_device(*backend).value();
  fmt::print("{}; it copies {:.1f} GB/s\n\n", backend->description(),
             probe.copy_bytes_per_s * 1e-9);
  fmt::print("sequences   keys   microseconds      GB/s   of copy\n");
  for (const auto& [sequences, length] : std::vector<std::pair<int32_t, int32_t>>{
           {1, 512}, {1, 4096}, {16, 576}, {64, 576}, {64, 4096}, {256, 576}}) {
    const double seconds = seconds_of(*backend, sequences, length);
    const double bytes = 4.0 * kKvHeads * kHeadDim * sequences * length;
    fmt::print("{:>9} {:>6} {:>14.1f} {:>9.1f} {:>8.1f}%\n", sequences, length, seconds * 1e6,
               bytes / seconds * 1e-9, 100.0 * bytes / seconds / probe.copy_bytes_per_s);
  }
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  octavo::print_table(argc > 1 ? argv[1] : "cpu");
  return 0;
}
