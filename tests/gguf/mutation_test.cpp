// The reader under random damage, and over the fuzzer's corpus.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "gguf/read_everything.h"
#include "gguf/small_model.h"

namespace octavo::gguf {
namespace {

void mutate(std::vector<std::byte>& bytes, std::mt19937_64& random) {
  const auto below = [&random](size_t limit) { return random() % limit; };
  const size_t edits = 1 + below(4);
  for (size_t edit = 0; edit < edits && !bytes.empty(); ++edit) {
    const size_t at = below(bytes.size());
    const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<std::byte>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<std::byte>(1u << below(8));
        break;
      case 2:  // an extreme value where a count, length or offset may be
        for (size_t i = at; i < std::min(at + 8, bytes.size()); ++i) bytes[i] = std::byte{0xFF};
        break;
      case 3:
        bytes.erase(position, position + static_cast<std::ptrdiff_t>(
                                             std::min<size_t>(1 + below(16), bytes.size() - at)));
        break;
      default:
        bytes.insert(position, 1 + below(16), static_cast<std::byte>(random()));
        break;
    }
  }
}

TEST(Mutation, NeverCrashesTheReader) {
  constexpr uint64_t kSeed = 20240917;
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  const std::vector<std::byte> original = small_model();
  ASSERT_TRUE(read_everything(original.data(), original.size()));
  size_t valid = 0;
  size_t invalid = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = original;
    mutate(bytes, random);
    bytes.shrink_to_fit();  // so that a sanitizer sees a read past the end
    if (read_everything(bytes.data(), bytes.size())) {
      valid += 1;
    } else {
      invalid += 1;
    }
  }
  // Damage in tensor data or in text is no fault of the file; elsewhere it is.
  EXPECT_GT(valid, 1000u);
  EXPECT_GT(invalid, 1000u);
}

TEST(Mutation, ReplaysTheFuzzersCorpus) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(OCTAVO_FUZZ_CORPUS "/gguf")) {
    SCOPED_TRACE(entry.path().filename());
    std::ifstream in(entry.path(), std::ios::binary);
    const std::vector<char> text(std::istreambuf_iterator<char>(in), {});
    const bool valid =
        read_everything(reinterpret_cast<const std::byte*>(text.data()), text.size());
    // The seeds are named by what they are; the fuzzer's finds are not.
    const std::string name = entry.path().filename().string();
    if (name.starts_with("valid-")) {
      EXPECT_TRUE(valid);
    }
    if (name.starts_with("invalid-")) {
      EXPECT_FALSE(valid);
    }
    files += 1;
  }
  EXPECT_GT(files, 20u);
}

}  // namespace
}  // namespace octavo::gguf
