#include "backend/cuda/wide_tiles.h"

#include <algorithm>

#include "backend/cuda/round_rows.h"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int64_t kMultiprocessors = 132;  // of an H100 or H200
// Tiles of so many rows are worth it when there are enough of them.
constexpr int64_t kLargeTile = 256;
constexpr int64_t kEnoughLargeTiles = 96;
constexpr int64_t kMostSplits = 8;

}  // namespace

WideCut cut_wide_tiles(const WideTilesArgs& args) {
  WideCut cut = {};
  cut.output_tiles = blocks_of_parts(args.parts, args.count, kWideOutputs);
  const auto row_tiles = [&](int64_t rows) { return (args.rows + rows - 1) / rows; };
  const bool large =
      args.rows > 128 && cut.output_tiles * row_tiles(kLargeTile) >= kEnoughLargeTiles;
  cut.tile_rows = args.rows <= 16 ? 16 : args.rows <= 64 ? 64 : large ? kLargeTile : 128;
  cut.row_tiles = row_tiles(cut.tile_rows);
  const int64_t slots = cut.tile_rows <= 64 ? 2 * kMultiprocessors : kMultiprocessors;
  // A part of the sum should take longer than adding it to the others.
  const int64_t turns = wide_groups(args.inner);
  const int64_t most = std::min(kMostSplits, turns / std::max<int64_t>(cut.tile_rows / 16, 2));
  cut.splits = std::max<int64_t>(std::min(slots / (cut.row_tiles * cut.output_tiles), most), 1);
  return cut;
}

TilesScratch wide_tiles_scratch(const WideTilesArgs& args) {
  const WideCut cut = cut_wide_tiles(args);
  if (cut.splits == 1) return {0, 0};
  const int64_t tiles = cut.row_tiles * cut.output_tiles;
  const auto floats = static_cast<size_t>(tiles * cut.splits * cut.tile_rows * kWideOutputs);
  return {floats * sizeof(float), static_cast<size_t>(tiles)};
}

void launch_wide_tiles(const WideTilesArgs& args, cudaStream_t stream) {
  for_quantized_type(static_cast<DType>(args.type),
                     [&]<DType kType>() { launch_wide<kType>(args, stream); });
}

}  // namespace octavo::cuda
