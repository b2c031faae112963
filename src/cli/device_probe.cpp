#include "cli/device_probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <span>
#include <vector>

#include "gguf/random_blocks.h"

namespace octavo::cli {
namespace {

constexpr int kRounds = 5;
// A round is as long as this, so that what the host adds to each does not matter.
constexpr double kRoundSeconds = 0.005;

// A step of one sequence, for operations that want one.
class ProbeBatch {
 public:
  explicit ProbeBatch(int32_t rows) : numbers_(static_cast<size_t>(rows)), starts_{0, rows} {
    std::iota(numbers_.begin(), numbers_.end(), 0);
    batch_.tokens = numbers_;
    batch_.positions = numbers_;
    batch_.q_starts = starts_;
    batch_.kv_lengths = std::span(starts_).subspan(1);
  }
  ProbeBatch(const ProbeBatch&) = delete;
  ProbeBatch& operator=(const ProbeBatch&) = delete;

  const Batch& get() const { return batch_; }

 private:
  std::vector<int32_t> numbers_;
  std::array<int32_t, 2> starts_;
  Batch batch_;
};

// Seconds of one call, in the fastest of some rounds. A device may still work when a call returns:
// reading a number of the result waits for it.
template <class Operation>
double fastest_seconds(Backend& backend, Tensor result, const Operation& operation) {
  const auto seconds_of = [&](int calls) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) operation();
    float number = 0;
    backend.read({result.data, 1, 1}, std::span(&number, 1));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds_of(1);  // takes the memory, compiles, wakes up
  const int calls = static_cast<int>(std::clamp(kRoundSeconds / seconds_of(1), 1.0, 1000.0));
  double fastest = seconds_of(calls);
  for (int round = 1; round < kRounds; ++round) fastest = std::min(fastest, seconds_of(calls));
  return fastest / calls;
}

double probe_copy(Backend& backend) {
  // Larger than the last cache of any processor.
  constexpr int64_t kRows = 16384;
  constexpr int64_t kColumns = 4096;
  const ProbeBatch batch(1);
  backend.begin_step(batch.get());
  const Tensor x = backend.scratch(kRows, kColumns);
  const Tensor y = backend.scratch(kRows, kColumns);
  const double seconds = fastest_seconds(backend, x, [&] { backend.add(x, y); });
  // Two are read and one is written.
  return 3.0 * static_cast<double>(x.elements() * sizeof(float)) / seconds;
}

// Of a [size, size] matrix with as many rows of activations.
Result<double> product_seconds(Backend& backend, int32_t size) {
  std::vector<std::byte> bytes(row_bytes(DType::bf16, static_cast<size_t>(size) * size));
  gguf::draw_blocks(DType::bf16, 1.0F / 64, 1, 0, bytes);
  const WeightSource source = {"probe", DType::bf16, size, size, bytes.data()};
  OCTAVO_ASSIGN(const auto matrix, backend.upload(source, WeightUse::matrix));
  OCTAVO_ASSIGN(const auto table, backend.upload(source, WeightUse::table));
  const ProbeBatch batch(size);
  backend.begin_step(batch.get());
  const Tensor x = backend.scratch(size, size);
  const Tensor out = backend.scratch(size, size);
  backend.embed(x, *table, 1.0F, batch.get());
  const std::array<Projection, 1> product = {Projection{.weight = matrix.get(), .out = out}};
  return fastest_seconds(backend, out, [&] { backend.linear(x, product, batch.get()); });
}

}  // namespace

Result<DeviceProbe> probe_device(Backend& backend) {
  DeviceProbe probe;
  probe.copy_bytes_per_s = probe_copy(backend);
  // Larger ones for faster devices.
  for (int32_t size = 1024; size <= 8192; size *= 2) {
    OCTAVO_ASSIGN(const double seconds, product_seconds(backend, size));
    const double operations = 2.0 * size * size * size;
    probe.product_operations_per_s = std::max(probe.product_operations_per_s, operations / seconds);
    if (seconds > kRoundSeconds) break;
  }
  return probe;
}

}  // namespace octavo::cli
