// Memory follows use: the KV store's pages and the scratch memory of a step.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "backend/cpu/cpu_kv_store.h"
#include "backend/cpu/scratch.h"

namespace octavo::cpu {
namespace {

// Bytes of this process in memory.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

constexpr int64_t kMebibyte = 1 << 20;

KvShape megabyte_blocks() {
  KvShape shape;
  shape.block_size = 64;
  shape.layers_per_block = 16;
  shape.kv_heads = 4;
  shape.head_dim = 64;
  shape.groups = {{0, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}};
  return shape;
}

TEST(CpuKvStore, TakesMemoryWhenWrittenAndGivesItBack) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer's own memory for each byte counts as this process's";
#endif
  const KvShape shape = megabyte_blocks();
  ASSERT_EQ(shape.block_bytes(), kMebibyte);
  const int64_t before = resident_bytes();
  constexpr int64_t kBlocks = 100'000;  // 98 GiB of addresses
  const auto created = CpuKvStore::create(shape, kBlocks);
  ASSERT_TRUE(created.ok()) << created.error().message;
  CpuKvStore& store = **created;
  EXPECT_LT(resident_bytes() - before, 4 * kMebibyte);
  for (int64_t block = 50; block < 114; ++block) {
    std::memset(store.block(block), 1, static_cast<size_t>(kMebibyte));
  }
  EXPECT_GT(resident_bytes() - before, 60 * kMebibyte);
  store.release(52, 62);
  EXPECT_LT(resident_bytes() - before, 8 * kMebibyte);
  // The neighbours are whole and the released blocks usable.
  EXPECT_EQ(store.block(51)[kMebibyte - 1], std::byte{1});
  std::memset(store.block(80), 2, static_cast<size_t>(kMebibyte));
  EXPECT_EQ(store.block(80)[5], std::byte{2});
}

TEST(CpuKvStore, ReleaseLeavesNeighboursAlone) {
  KvShape shape;
  shape.layers_per_block = 1;
  shape.kv_heads = 1;
  shape.head_dim = 40;  // blocks of 2560 bytes: most pages hold two blocks or three
  shape.groups = {{0, {0}}};
  const auto store = CpuKvStore::create(shape, 40).value();
  const auto bytes = static_cast<size_t>(shape.block_bytes());
  std::mt19937 random(13);
  for (int round = 0; round < 50; ++round) {
    for (int64_t block = 0; block < 40; ++block) std::memset(store->block(block), 7, bytes);
    const int64_t first = static_cast<int64_t>(random() % 40);
    const int64_t count = static_cast<int64_t>(random() % static_cast<uint32_t>(41 - first));
    store->release(first, count);
    for (int64_t block = 0; block < 40; ++block) {
      if (block >= first && block < first + count) continue;
      for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(store->block(block)[i], std::byte{7});
    }
  }
}

TEST(CpuKvStore, RefusesShapesItCannotHold) {
  const auto message = [](auto change, int64_t blocks = 4) {
    KvShape shape = megabyte_blocks();
    change(shape);
    const auto store = CpuKvStore::create(shape, blocks);
    return store.ok() ? std::string() : store.error().message;
  };
  EXPECT_EQ(message([](KvShape&) {}), "");
  for (const int32_t size : {0, -16, 8, 24, 48, 512}) {
    const std::string text = message([&](KvShape& shape) { shape.block_size = size; });
    EXPECT_NE(text.find("block size"), std::string::npos) << size;
  }
  EXPECT_NE(message([](KvShape& shape) { shape.type = DType::q5_0; }).find("Q5_0"),
            std::string::npos);
  const std::string odd_heads = message([](KvShape& shape) {
    shape.type = DType::q8_0;
    shape.head_dim = 80;
  });
  EXPECT_EQ(odd_heads, "KV cache: type Q8_0 needs heads of a multiple of 32 dimensions, not of 80");
  EXPECT_NE(message([](KvShape& shape) { shape.head_dim = 513; }).find("513"), std::string::npos);
  EXPECT_FALSE(message([](KvShape& shape) { shape.head_dim = 0; }).empty());
  EXPECT_FALSE(message([](KvShape& shape) { shape.kv_heads = 0; }).empty());
  EXPECT_FALSE(message([](KvShape& shape) { shape.layers_per_block = 0; }).empty());
  EXPECT_FALSE(message([](KvShape& shape) { shape.layers_per_block = 15; }).empty());
  EXPECT_FALSE(message([](KvShape& shape) { shape.groups.push_back({8, {3}}); }).empty());
  EXPECT_FALSE(message([](KvShape& shape) { shape.groups[0].layers[0] = -1; }).empty());
  EXPECT_FALSE(message([](KvShape&) {}, 0).empty());
  EXPECT_FALSE(message([](KvShape&) {}, int64_t{1} << 62).empty());
}

TEST(CpuScratch, GivesAlignedMemoryThatDoesNotOverlap) {
  ScratchArena arena;
  std::mt19937 random(14);
  for (int step = 0; step < 20; ++step) {
    std::vector<std::pair<std::byte*, size_t>> taken;
    for (int i = 0; i < 30; ++i) {
      const size_t bytes = random() % (i % 7 == 0 ? 3'000'000 : 3'000);
      std::byte* memory = arena.take(bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % ScratchArena::kAlignment, 0u);
      if (bytes > 0) std::memset(memory, i, bytes);
      taken.emplace_back(memory, bytes);
      const ScratchScope scope(arena);
      std::memset(arena.take(500'000), 0xFF, 500'000);
    }
    for (size_t i = 0; i < taken.size(); ++i) {
      for (size_t at = 0; at < taken[i].second; at += 61) {
        ASSERT_EQ(taken[i].first[at], static_cast<std::byte>(i));
      }
    }
    arena.reset();
  }
}

TEST(CpuScratch, ScopesKeepAStepSmall) {
  ScratchArena arena;
  for (int layer = 0; layer < 100; ++layer) {
    const ScratchScope scope(arena);
    arena.take(500'000);
  }
  EXPECT_EQ(arena.mapped_bytes(), static_cast<size_t>(kMebibyte));
}

TEST(CpuScratch, ShrinksAfterALargeStep) {
  ScratchArena arena;
  for (int i = 0; i < 100; ++i) std::memset(arena.take(1'000'000), 1, 1'000'000);
  EXPECT_GE(arena.mapped_bytes(), 100'000'000u);
  arena.reset();
  const int64_t before = resident_bytes();
  std::memset(arena.take(90'000'000), 1, 90'000'000);
  EXPECT_GT(resident_bytes() - before, 80'000'000);
  int steps = 0;
  for (; steps < 100 && arena.mapped_bytes() > 4'000'000; ++steps) {
    arena.reset();
    arena.take(1000);
  }
  // Not at the next step: large and small ones alternate. But soon.
  EXPECT_GT(steps, 2);
  EXPECT_LT(steps, 60);
  EXPECT_LT(resident_bytes() - before, 10'000'000);
}

}  // namespace
}  // namespace octavo::cpu
