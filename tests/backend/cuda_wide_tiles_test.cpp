// How products are cut into tiles and parts of sums (wide_tiles.h). Nothing is launched: no GPU is
// needed.
#include "backend/cuda/wide_tiles.h"

#include <gtest/gtest.h>

#include "backend/cuda/projections.h"
#include "backend/cuda/round_rows.h"

namespace octavo::cuda {
namespace {

WideCut cut_in_order(int64_t outputs, int64_t inner, int64_t rows) {
  WideTilesArgs args = {};
  args.parts[0].weight.rows = outputs;
  args.count = 1;
  args.in_order = 1;
  args.rows = rows;
  args.inner = inner;
  EXPECT_LE(wide_tiles_scratch(args).counters, kProductCounters);
  return cut_wide_tiles(args);
}

// Whether the parts are each another block's work, or all of one that can add them up: those of
// 128 rows can.
bool is_computed_whole(const WideCut& cut) {
  return cut.splits == cut.cuts || (cut.splits == 1 && cut.tile_rows == 128);
}

TEST(CudaWideTiles, InOrderASumIsCutAlikeForAllNumbersOfRowsAndComputedWhole) {
  for (int64_t tiles = 1; tiles <= 300; ++tiles) {
    for (const int64_t inner : {32, 512, 2560, 4096, 28672}) {
      const int64_t outputs = tiles * kWideOutputs;
      const WideCut one = cut_in_order(outputs, inner, 1);
      EXPECT_GE(one.cuts * one.turns_each, wide_groups(inner));
      EXPECT_LT((one.cuts - 1) * one.turns_each, wide_groups(inner)) << "an empty part";
      for (const int64_t rows : {1, 16, 17, 64, 65, 128, 129, 1000, 70000}) {
        const WideCut cut = cut_in_order(outputs, inner, rows);
        EXPECT_EQ(cut.cuts, one.cuts) << outputs << ", " << inner << ", " << rows;
        EXPECT_EQ(cut.turns_each, one.turns_each) << outputs << ", " << inner << ", " << rows;
        EXPECT_TRUE(is_computed_whole(cut)) << outputs << ", " << inner << ", " << rows;
      }
    }
  }
}

}  // namespace
}  // namespace octavo::cuda
