// Prints a digest of what the CPU kernels compute, a line for each case, after checking that every
// instruction set of this machine agrees with the scalar code. The same lines must come out on
// every machine: this program is how NEON is compared with x86, under an emulator if need be.
#include <cstdio>
#include <cstring>
#include <string>

#include "backend/linear_cases.h"
#include "backend/row_cases.h"
#include "backend/simd_cases.h"

namespace octavo::cpu {
namespace {

using namespace octavo::cpu::testing;

// FNV-1a, 64 bits.
uint64_t digest(const void* data, size_t bytes) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < bytes; ++i) {
    hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
  }
  return hash;
}

void print(const std::string& name, uint64_t hash) {
  std::printf("%s %016llx\n", name.c_str(), static_cast<unsigned long long>(hash));
}

void check_simd() {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20; ++round) {
    const SimdInput in = random_simd_input(random);
    uint64_t expected = 0;
    for (const SimdProbe& probe : available_probes()) {
      SimdOutput out;
      std::memset(&out, 0, sizeof(out));
      probe.run(in, out);
      const uint64_t hash = digest(&out, sizeof(out));
      if (std::string_view(probe.name) == "scalar") expected = hash;
      OCTAVO_CHECK(hash == expected, "{} differs in round {}", probe.name, round);
    }
    print(fmt::format("simd {}", round), expected);
  }
}

void check_linear() {
  for (const LinearCase& c : linear_cases()) {
    const std::string name = fmt::format("linear {} [{}, {}] x {}", info(c.type).name, c.rows,
                                         c.columns, c.activation_rows);
    std::mt19937_64 random(13);
    const auto tensor = random_tensor(c.type, c.rows * c.columns, random);
    const auto x = random_activations(c.activation_rows, c.columns, random);
    const PackedWeight weight = pack(c.type, c.rows, c.columns, tensor.data());
    const auto product = [&](const Kernels& kernels) {
      const auto out =
          multiply(kernels, weight, x, c.activation_rows, c.activation_rows, weight.groups());
      return digest(out.data(), out.size() * sizeof(float));
    };
    const uint64_t expected = product(*find_kernels("scalar"));
    for (const Kernels* kernels : available_kernels()) {
      OCTAVO_CHECK(product(*kernels) == expected, "{} differs in {}", kernels->name, name);
    }
    print(name, expected);
  }
}

template <class Case>
void check_cases(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto result = [&c](const Kernels& kernels) {
      const std::vector<float> out = run(kernels, c);
      return digest(out.data(), out.size() * sizeof(float));
    };
    const uint64_t expected = result(*find_kernels("scalar"));
    for (const Kernels* kernels : available_kernels()) {
      OCTAVO_CHECK(result(*kernels) == expected, "{} differs in {}", kernels->name, name_of(c));
    }
    print(name_of(c), expected);
  }
}

}  // namespace
}  // namespace octavo::cpu

int main() {
  for (const auto* kernels : octavo::cpu::available_kernels()) {
    std::fprintf(stderr, "checked: %s\n", kernels->name);
  }
  octavo::cpu::check_simd();
  octavo::cpu::check_linear();
  octavo::cpu::check_cases(octavo::cpu::testing::row_cases());
  octavo::cpu::check_cases(octavo::cpu::testing::attention_cases());
  return 0;
}
