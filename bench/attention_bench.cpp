// Attention of the CPU backend, with the shapes of real models. "keys/s" counts a query row and a
// head for every key it sees; "GB/s" the bytes of K and V that a decode step has to read, those
// that several sequences share counted for each of them.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_kv_store.h"
#include "base/check.h"
#include "base/float16.h"

namespace octavo::cpu {
namespace {

struct Model {
  const char* name;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
};
constexpr Model kSmolLm = {"smollm2-135m", 9, 3, 64};
constexpr Model kLlama = {"llama-3-8b", 32, 8, 128};

// Equal sequences whose last `rows` positions are computed.
struct Step {
  const char* name;
  int32_t sequences;
  int32_t rows;
  int32_t length;
  int32_t shared = 0;  // the first positions, whose blocks all sequences share
};

void attention(benchmark::State& state, const Model& model, const Step& step, int threads,
               const std::string& isa) {
  const auto [name, sequences, rows, length, shared] = step;
  auto backend = CpuBackend::create({threads, isa}).value();
  KvShape shape;
  shape.layers_per_block = 1;
  shape.kv_heads = model.kv_heads;
  shape.head_dim = model.head_dim;
  shape.groups = {{0, {0}}};
  const int32_t blocks_each = (length + shape.block_size - 1) / shape.block_size;
  // As many layers' worth of blocks as needed to find the caches cold, one after another.
  const int32_t shared_blocks = shared / shape.block_size;
  const int32_t own_blocks = blocks_each - shared_blocks;
  const int32_t stored_blocks = shared_blocks + sequences * own_blocks;
  const int64_t stored_bytes = int64_t{stored_blocks} * shape.block_bytes();
  const auto copies =
      static_cast<int32_t>(std::max<int64_t>(1, (int64_t{256} << 20) / stored_bytes));
  auto store = backend->create_kv_store(shape, int64_t{stored_blocks} * copies).value();
  const auto& memory = static_cast<const CpuKvStore&>(*store);
  std::mt19937 random(1);
  std::vector<uint16_t> block(static_cast<size_t>(shape.block_bytes()) / 2);
  for (uint16_t& half : block)
    half = f16_from_float(static_cast<float>(random()) * 0x1p-32F - 0.5F);
  for (int64_t id = 0; id < store->block_count(); ++id) {
    std::memcpy(memory.block(id), block.data(), block.size() * 2);
  }
  const int64_t tokens = int64_t{sequences} * rows;
  std::vector<float> q(static_cast<size_t>(tokens * model.heads * model.head_dim), 0.25F);
  std::vector<float> out(q.size());
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  std::vector<int32_t> positions, q_starts = {0}, table_starts = {0};
  for (int32_t s = 0; s < sequences; ++s) {
    for (int32_t row = 0; row < rows; ++row) positions.push_back(length - rows + row);
    q_starts.push_back((s + 1) * rows);
    table_starts.push_back((s + 1) * blocks_each);
  }
  const std::vector<int32_t> lengths(static_cast<size_t>(sequences), length);
  std::vector<int32_t> blocks(static_cast<size_t>(sequences * blocks_each));
  Batch batch;
  batch.tokens = ids;
  batch.positions = positions;
  batch.q_starts = q_starts;
  batch.kv_lengths = lengths;
  batch.groups = {{ids, table_starts, blocks}};
  const int64_t columns = int64_t{model.heads} * model.head_dim;
  const AttentionParams params{1.0F / std::sqrt(static_cast<float>(model.head_dim)), 0.0F};
  int32_t copy = 0;
  for ([[maybe_unused]] auto _ : state) {
    const int32_t first = stored_blocks * (copy++ % copies);
    for (int32_t s = 0; s < sequences; ++s) {
      int32_t* table = blocks.data() + s * blocks_each;
      std::iota(table, table + shared_blocks, first);
      std::iota(table + shared_blocks, table + blocks_each, first + shared_blocks + s * own_blocks);
    }
    backend->begin_step(batch);
    backend->attention({out.data(), tokens, columns}, {q.data(), tokens, columns}, 0, params, batch,
                       *store);
  }
  double keys = 0;
  for (const int32_t position : positions) keys += (position + 1.0) * model.heads;
  const auto steps = static_cast<double>(state.iterations());
  state.counters["keys/s"] = benchmark::Counter(keys * steps, benchmark::Counter::kIsRate);
  const auto read_bytes = static_cast<double>(sequences * blocks_each * shape.block_bytes());
  state.counters["GB/s"] =
      benchmark::Counter(read_bytes * steps * 1e-9, benchmark::Counter::kIsRate);
}

void add_benchmarks() {
  for (const Model& model : {kSmolLm, kLlama}) {
    for (const Step& step :
         {Step{"prefill", 1, 512, 512}, Step{"decode", 1, 1, 512}, Step{"decode", 1, 1, 4096},
          Step{"decode", 8, 1, 1024}, Step{"decode shared 2048", 32, 1, 2112, 2048}}) {
      for (const Kernels* kernels : available_kernels()) {
        for (const int threads : {1, 2}) {
          const std::string name =
              std::string(model.name) + "/" + step.name + "/" + std::to_string(step.sequences) +
              "x" + std::to_string(step.rows) + "/of " + std::to_string(step.length) + "/" +
              kernels->name + "/" + std::to_string(threads) + " threads";
          benchmark::RegisterBenchmark(name.c_str(),
                                       [=](benchmark::State& state) {
                                         attention(state, model, step, threads, kernels->name);
                                       })
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
      }
    }
  }
}

}  // namespace
}  // namespace octavo::cpu

int main(int argc, char** argv) {
  octavo::cpu::add_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
