// The operations on rows and elements: against double precision, and bit for bit between
// instruction sets, numbers of threads and rows.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "backend/random_values.h"
#include "backend/simple_batch.h"

namespace octavo::cpu {
namespace {

std::unique_ptr<CpuBackend> make_backend(int threads = 1,
                                         const std::string& isa = best_kernels().name) {
  return CpuBackend::create({threads, isa}).value();
}

std::unique_ptr<Weight> vector_weight(Backend& backend, const std::vector<float>& values) {
  WeightSource source;
  source.name = "weight";
  source.columns = static_cast<int64_t>(values.size());
  source.data = reinterpret_cast<const std::byte*>(values.data());
  return backend.upload(source, WeightUse::vector, Split::none).value();
}

// Calls `compute(backend)` on every instruction set with 1, 2 and 3 threads, and expects the bits
// of the first.
void expect_same_bits_everywhere(const std::function<std::vector<float>(CpuBackend&)>& compute) {
  const std::vector<float> expected = compute(*make_backend());
  for (const Kernels* kernels : available_kernels()) {
    for (int threads = 1; threads <= 3; ++threads) {
      EXPECT_TRUE(same_bits(compute(*make_backend(threads, kernels->name)), expected))
          << kernels->name << ", " << threads << " threads";
    }
  }
}

// Sizes around the edges of vectors and tasks.
const std::vector<std::pair<int64_t, int64_t>> kSizes = {
    {1, 1}, {3, 8}, {2, 15}, {5, 16}, {7, 17}, {4, 100}, {3, 576}, {40, 1000}, {1, 9000}};

TEST(CpuNorm, AgreesWithDoublePrecision) {
  constexpr float kNormEpsilon = 1e-5F;
  for (const auto& [rows, columns] : kSizes) {
    std::mt19937 random(5);
    const auto count = static_cast<size_t>(rows * columns);
    std::vector<float> x = random_values(random, count, 3.0F);
    const std::vector<float> weight = random_values(random, static_cast<size_t>(columns));
    std::vector<float> out(count);
    const auto backend = make_backend();
    backend->norm(view(out, columns), view(x, columns), *vector_weight(*backend, weight),
                  kNormEpsilon);
    for (int64_t row = 0; row < rows; ++row) {
      const float* in = x.data() + row * columns;
      double squares = 0;
      for (int64_t i = 0; i < columns; ++i) squares += double{in[i]} * double{in[i]};
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(columns) + double{kNormEpsilon});
      for (int64_t i = 0; i < columns; ++i) {
        const double expected = double{in[i]} * scale * double{weight[static_cast<size_t>(i)]};
        // The sum's relative error, halved by the root, and five roundings more.
        const double bound = (static_cast<double>(columns) / 32 + 8) * kEpsilon;
        ASSERT_NEAR(double{out[static_cast<size_t>(row * columns + i)]}, expected,
                    std::abs(expected) * bound)
            << rows << " rows of " << columns;
      }
    }
  }
}

TEST(CpuNorm, BitsAreTheSameEverywhereAndInPlace) {
  for (const auto& [rows, columns] : kSizes) {
    std::mt19937 random(6);
    const std::vector<float> x = random_values(random, static_cast<size_t>(rows * columns));
    const std::vector<float> weight = random_values(random, static_cast<size_t>(columns));
    const int64_t width = columns;
    const auto compute = [&](CpuBackend& backend) {
      std::vector<float> out = x;
      backend.norm(view(out, width), view(out, width), *vector_weight(backend, weight), 1e-6F);
      return out;
    };
    expect_same_bits_everywhere(compute);
    // A row alone is the row among others.
    const std::vector<float> all = compute(*make_backend());
    std::vector<float> last(x.end() - width, x.end());
    const auto backend = make_backend();
    backend->norm(view(last, width), view(last, width), *vector_weight(*backend, weight), 1e-6F);
    EXPECT_TRUE(same_bits(last, std::span(all).last(static_cast<size_t>(width))));
  }
}

struct Elementwise {
  const char* name;
  std::function<void(CpuBackend&, Tensor, Tensor)> run;
  std::function<double(double, double)> expected;
  // The error of a result, for the operands; roundings and the accuracy of the functions.
  std::function<double(double, double)> bound;
};

double silu(double x) {
  return x / (1 + std::exp(-x));
}
// The argument of the tanh form's logistic function, 2 sqrt(2 / pi) (x + 0.044715 x^3).
double gelu_inner(double x) {
  return 1.5957691216057308 * (x + 0.044715 * x * x * x);
}

// Where e^-x leaves the range of floats, 1 / (1 + e^-x) becomes 0 or loses digits.
double tiny(double x, double y) {
  return 0x1p-127 * std::abs(x * y);
}

std::vector<Elementwise> elementwise_operations() {
  constexpr float kCap = 30.0F;
  return {
      {"add", [](CpuBackend& backend, Tensor x, Tensor y) { backend.add(x, y); },
       [](double x, double y) { return x + y; },
       [](double x, double y) { return kEpsilon * std::abs(x + y); }},
      {"silu",
       [](CpuBackend& backend, Tensor x, Tensor y) { backend.gate(x, y, Activation::silu); },
       [](double x, double y) { return silu(x) * y; },
       [](double x, double y) { return 10 * kEpsilon * std::abs(silu(x) * y) + tiny(x, y); }},
      {"gelu_tanh",
       [](CpuBackend& backend, Tensor x, Tensor y) { backend.gate(x, y, Activation::gelu_tanh); },
       [](double x, double y) { return x / (1 + std::exp(-gelu_inner(x))) * y; },
       [](double x, double y) {
         // exp turns the absolute error of its argument into a relative one.
         const double value = x / (1 + std::exp(-gelu_inner(x))) * y;
         return (10 + 8 * std::abs(gelu_inner(x))) * kEpsilon * std::abs(value) + tiny(x, y);
       }},
      {"soft_cap", [](CpuBackend& backend, Tensor x, Tensor) { backend.soft_cap(x, kCap); },
       [](double x, double) { return double{kCap} * std::tanh(x / double{kCap}); },
       [](double, double) { return 8 * kEpsilon * double{kCap}; }},
  };
}

TEST(CpuElementwise, AgreesWithDoublePrecision) {
  for (const Elementwise& operation : elementwise_operations()) {
    for (const auto& [rows, columns] : kSizes) {
      std::mt19937 random(8);
      const auto count = static_cast<size_t>(rows * columns);
      const std::vector<float> x = random_values(random, count, 20.0F);
      std::vector<float> y = random_values(random, count);
      std::vector<float> out = x;
      operation.run(*make_backend(), view(out, columns), view(y, columns));
      for (size_t i = 0; i < count; ++i) {
        const double a = double{x[i]};
        const double b = double{y[i]};
        ASSERT_NEAR(double{out[i]}, operation.expected(a, b), operation.bound(a, b))
            << operation.name << " of " << a << " and " << b;
      }
    }
  }
}

TEST(CpuElementwise, BitsAreTheSameEverywhere) {
  for (const Elementwise& operation : elementwise_operations()) {
    for (const auto& [rows, columns] : kSizes) {
      std::mt19937 random(9);
      const auto count = static_cast<size_t>(rows * columns);
      const std::vector<float> x = random_values(random, count, 50.0F);
      std::vector<float> y = random_values(random, count);
      const int64_t width = columns;
      expect_same_bits_everywhere([&](CpuBackend& backend) {
        std::vector<float> out = x;
        operation.run(backend, view(out, width), view(y, width));
        return out;
      });
    }
  }
}

TEST(CpuElementwise, ActivationsHaveTheirLimits) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    std::vector<float> x = {-1000.0F, -100.0F, 0.0F, 100.0F, 1000.0F, infinity};
    std::vector<float> ones(x.size(), 1.0F);
    make_backend()->gate(view(x, 6), view(ones, 6), activation);
    EXPECT_EQ(x[0], 0.0F);
    EXPECT_NEAR(x[1], 0.0F, 1e-30F);
    EXPECT_EQ(x[2], 0.0F);
    EXPECT_EQ(x[3], 100.0F);
    EXPECT_EQ(x[4], 1000.0F);
    EXPECT_EQ(x[5], infinity);
  }
  std::vector<float> x = {-infinity, -1e30F, 0.0F, 1e30F, infinity};
  make_backend()->soft_cap(view(x, 5), 30.0F);
  EXPECT_EQ(x, (std::vector<float>{-30.0F, -30.0F, 0.0F, 30.0F, 30.0F}));
}

TEST(CpuComposed, AddNormAndGatedFeedForwardAreTheirParts) {
  std::mt19937 random(10);
  constexpr int64_t kRows = 3;
  constexpr int64_t kDim = 48;
  constexpr int64_t kHidden = 80;
  const auto backend = make_backend(2);
  const auto matrix = [&](const std::vector<float>& values, int64_t rows, int64_t columns) {
    WeightSource source{"matrix", DType::f32, rows, columns,
                        reinterpret_cast<const std::byte*>(values.data())};
    return backend->upload(source, WeightUse::matrix, Split::none).value();
  };
  std::vector<float> x = random_values(random, kRows * kDim);
  const std::vector<float> y = random_values(random, kRows * kDim);
  const auto gate = matrix(random_values(random, kHidden * kDim), kHidden, kDim);
  const auto up = matrix(random_values(random, kHidden * kDim), kHidden, kDim);
  const auto down = matrix(random_values(random, kHidden * kDim), kDim, kHidden);
  const auto norm = vector_weight(*backend, random_values(random, kDim));
  std::vector<float> gated(kRows * kHidden);
  std::vector<float> raised = gated;

  std::vector<float> added = x;
  std::vector<float> addend = y;
  std::vector<float> normed(x.size());
  backend->add_norm(view(normed, kDim), view(added, kDim), view(addend, kDim), *norm, 1e-5F);
  const FeedForward layer = {gate.get(),           up.get(),
                             down.get(),           Activation::gelu_tanh,
                             view(gated, kHidden), view(raised, kHidden)};
  std::vector<float> out(x.size());
  backend->gated_feed_forward(view(out, kDim), view(normed, kDim), layer, Batch{});

  std::vector<float> expected_sum = x;
  backend->add(view(expected_sum, kDim), view(addend, kDim));
  EXPECT_TRUE(same_bits(added, expected_sum));
  std::vector<float> h(x.size());
  backend->norm(view(h, kDim), view(expected_sum, kDim), *norm, 1e-5F);
  EXPECT_TRUE(same_bits(normed, h));
  const auto product = [&](const Weight& weight, std::vector<float>& in, int64_t columns) {
    std::vector<float> result(static_cast<size_t>(kRows * weight.rows()));
    const Projection projection{&weight, nullptr, view(result, weight.rows())};
    backend->linear(view(in, columns), std::span(&projection, 1), Batch{});
    return result;
  };
  std::vector<float> hidden = product(*gate, h, kDim);
  std::vector<float> other = product(*up, h, kDim);
  backend->gate(view(hidden, kHidden), view(other, kHidden), Activation::gelu_tanh);
  EXPECT_TRUE(same_bits(out, product(*down, hidden, kHidden)));
}

}  // namespace
}  // namespace octavo::cpu
