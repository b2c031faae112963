// Speed of the CPU matrix product: every weight type, 1, 8 and 64 rows of activations, one thread.
//
// The weight is larger than the last-level cache's share of one run of a layer (see kWeightBytes),
// so that one row measures memory bandwidth. Counters: packed bytes read from memory per second and
// floating-point operations per second (two for a multiply-add). Another instruction set than the
// best is chosen by its name as the only argument that does not begin with a dash.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/packed_weight.h"
#include "base/check.h"

namespace octavo::cpu {
namespace {

constexpr size_t kColumns = 4096;
constexpr size_t kWeightBytes = size_t{64} << 20;

// Random bytes: speed depends on no value, except that floats must not be subnormal, so the bytes
// that can be an exponent are kept moderate.
std::vector<std::byte> random_tensor(size_t bytes) {
  std::mt19937 random(1);
  std::vector<std::byte> out(bytes);
  for (std::byte& byte : out) byte = static_cast<std::byte>(0x20 + random() % 16);
  return out;
}

PackedWeight packed(DType type, const std::vector<std::byte>& tensor, size_t rows) {
  auto weight = PackedWeight::create(type, rows, kColumns);
  OCTAVO_CHECK(weight.ok());
  for (size_t group = 0; group < weight->groups(); ++group) {
    weight->pack_group(group, tensor.data());
  }
  return std::move(*weight);
}

void run_linear(benchmark::State& state, const Kernels* kernels, DType type) {
  const auto rows = static_cast<size_t>(state.range(0));
  const size_t outputs = kWeightBytes / row_bytes(type, kColumns) / kGroupRows * kGroupRows;
  const auto tensor = random_tensor(outputs * row_bytes(type, kColumns));
  const PackedWeight weight = packed(type, tensor, outputs);
  std::vector<float> x(rows * kColumns);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  std::vector<ActivationChunk> chunks(x.size() / kChunk);
  std::vector<float> out(rows * outputs);
  kernels->quantize_rows({.x = x.data(),
                          .x_stride = kColumns,
                          .columns = kColumns,
                          .out = chunks.data(),
                          .row_begin = 0,
                          .row_end = rows});
  LinearArgs args;
  args.weight = weight.view();
  args.group_end = weight.groups();
  args.x = x.data();
  args.chunks = chunks.data();
  args.x_stride = takes_quantized_activations(type) ? kColumns / kChunk : kColumns;
  args.rows = rows;
  args.out = out.data();
  args.out_stride = outputs;
  while (state.KeepRunning()) {
    kernels->linear(args);
    benchmark::ClobberMemory();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["weights_bytes"] = benchmark::Counter(static_cast<double>(weight.bytes()), rate);
  state.counters["flop"] =
      benchmark::Counter(2.0 * static_cast<double>(rows * outputs * kColumns), rate);
}

void run_pack(benchmark::State& state, DType type) {
  const size_t outputs = kWeightBytes / row_bytes(type, kColumns) / kGroupRows * kGroupRows;
  const auto tensor = random_tensor(outputs * row_bytes(type, kColumns));
  PackedWeight weight = packed(type, tensor, outputs);
  while (state.KeepRunning()) {
    for (size_t group = 0; group < weight.groups(); ++group) {
      weight.pack_group(group, tensor.data());
    }
  }
  state.counters["tensor_bytes"] = benchmark::Counter(
      static_cast<double>(tensor.size()), benchmark::Counter::kIsIterationInvariantRate);
}

void run_quantize(benchmark::State& state, const Kernels* kernels) {
  std::vector<float> x(kColumns);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  std::vector<ActivationChunk> chunks(x.size() / kChunk);
  while (state.KeepRunning()) {
    kernels->quantize_rows({.x = x.data(),
                            .x_stride = kColumns,
                            .columns = kColumns,
                            .out = chunks.data(),
                            .row_begin = 0,
                            .row_end = 1});
    benchmark::ClobberMemory();
  }
  state.counters["values"] = benchmark::Counter(static_cast<double>(kColumns),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace octavo::cpu

int main(int argc, char** argv) {
  using namespace octavo;
  using namespace octavo::cpu;
  benchmark::Initialize(&argc, argv);
  const Kernels* kernels = argc > 1 ? find_kernels(argv[1]) : &best_kernels();
  if (kernels == nullptr) {
    std::fprintf(stderr, "no kernels named '%s' on this machine\n", argv[1]);
    return 1;
  }
  for (const DTypeInfo& type : kDTypes) {
    const std::string name(type.name);
    const std::string linear = "linear/" + std::string(kernels->name) + "/" + name;
    benchmark::RegisterBenchmark(linear.c_str(), run_linear, kernels, type.type)
        ->Arg(1)
        ->Arg(8)
        ->Arg(64)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("pack/" + name).c_str(), run_pack, type.type)
        ->Unit(benchmark::kMillisecond);
  }
  const std::string quantize = "quantize/" + std::string(kernels->name);
  benchmark::RegisterBenchmark(quantize.c_str(), run_quantize, kernels);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
