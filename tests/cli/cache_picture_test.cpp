// The KV cache drawn with characters.
#include "cli/cache_picture.h"

#include <gtest/gtest.h>

namespace octavo::cli {
namespace {

CacheSnapshot snapshot_of(const std::vector<BlockSnapshot>& blocks, int32_t total) {
  CacheSnapshot snapshot{.block_size = 16, .blocks_total = total};
  snapshot.blocks_uncommitted = total - static_cast<int32_t>(blocks.size());
  for (const BlockSnapshot& block : blocks) {
    snapshot.blocks_free += block.state == BlockState::free ? 1 : 0;
    snapshot.blocks_cached += block.state == BlockState::cached ? 1 : 0;
    snapshot.blocks_in_use += block.state == BlockState::in_use ? 1 : 0;
    snapshot.blocks_shared += block.owners.size() > 1 ? 1 : 0;
  }
  snapshot.blocks = blocks;
  return snapshot;
}

TEST(CachePicture, ACharacterForEachBlock) {
  CacheSnapshot snapshot =
      snapshot_of({{.block = 0, .state = BlockState::in_use, .tokens = 16, .owners = {0, 1}},
                   {.block = 1, .state = BlockState::in_use, .tokens = 4, .owners = {0}},
                   {.block = 2, .state = BlockState::cached, .tokens = 16},
                   {.block = 4, .state = BlockState::free}},
                  100);
  snapshot.owned_slots = 32;
  snapshot.filled_slots = 20;
  const EngineStats stats{.prefix_query_tokens = 340, .prefix_hit_tokens = 120};
  EXPECT_EQ(cache_picture(snapshot, stats, 80, /*colour=*/false),
            "█▒░ ·\n"
            "▒ 2 blocks in use, █ 1 of them shared, ░ 1 cached, · 1 free; 96 without memory; 16 "
            "tokens each\n"
            "12 of 32 slots in use are empty (37.5 %); 120 of 340 prompt tokens found in the cache "
            "(35 %)\n");
}

// The legend has the colours of the picture; a colour never goes over the end of a line.
TEST(CachePicture, Colours) {
  std::vector<BlockSnapshot> blocks;
  for (int32_t i = 0; i < 22; ++i) {
    blocks.push_back({.block = i, .state = BlockState::in_use, .tokens = 16, .owners = {0}});
  }
  blocks.push_back({.block = 22, .state = BlockState::in_use, .tokens = 16, .owners = {0, 1}});
  blocks.push_back({.block = 23, .state = BlockState::cached, .tokens = 16});
  const std::string picture = cache_picture(snapshot_of(blocks, 24), {}, 20, /*colour=*/true);
  const std::string twenty = "▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒";
  EXPECT_TRUE(picture.starts_with("\x1b[32m" + twenty +
                                  "\x1b[0m\n"
                                  "\x1b[32m▒▒\x1b[0m\x1b[33m█\x1b[0m\x1b[2m░\x1b[0m\n"
                                  "\x1b[32m▒\x1b[0m 23 blocks in use, \x1b[33m█\x1b[0m 1 of them "
                                  "shared, \x1b[2m░\x1b[0m 1 cached"))
      << picture;
}

TEST(CachePicture, ALargePoolIsDrawnSmaller) {
  std::vector<BlockSnapshot> blocks;
  for (int32_t i = 0; i < 1000; ++i) blocks.push_back({.block = i, .state = BlockState::free});
  blocks[999].state = BlockState::cached;
  const std::string picture = cache_picture(snapshot_of(blocks, 5000), {}, 20, false);
  // 1000 blocks on 12 lines of 20: five for each character, ten lines.
  size_t dots = 0;
  for (size_t at = picture.find("·"); at != picture.npos; at = picture.find("·", at + 1)) ++dots;
  EXPECT_EQ(dots, 199u + 1) << "and one in the legend";
  EXPECT_NE(picture.find("░\n(a character for 5 blocks"), std::string::npos) << picture;
}

TEST(CachePicture, AnEmptyPoolAndTheTiers) {
  CacheSnapshot snapshot = snapshot_of({}, 10);
  snapshot.host_slots = 8;
  snapshot.host_slots_used = 3;
  const std::string picture = cache_picture(snapshot, {.disk_blocks = 7}, 80, false);
  EXPECT_TRUE(picture.starts_with("▒ 0 blocks in use")) << picture;
  EXPECT_NE(picture.find("host tier: 3 of 8 blocks\ndisk tier: 7 blocks\n"), std::string::npos);
  EXPECT_NE(picture.find("(0 %)"), std::string::npos);
}

}  // namespace
}  // namespace octavo::cli
