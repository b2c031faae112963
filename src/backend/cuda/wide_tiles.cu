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
// The blocks of these tiles can add up several parts of a sum (launch_wide()).
constexpr int64_t kFoldingTile = 128;

}  // namespace

WideCut cut_wide_tiles(const WideTilesArgs& args) {
  WideCut cut = {};
  cut.output_tiles = blocks_of_parts(args.parts, args.count, kWideOutputs);
  const auto row_tiles = [&](int64_t rows) { return (args.rows + rows - 1) / rows; };
  const bool large = args.in_order == 0 && args.rows > 128 &&
                     cut.output_tiles * row_tiles(kLargeTile) >= kEnoughLargeTiles;
  cut.tile_rows = args.rows <= 16 ? 16 : args.rows <= 64 ? 64 : large ? kLargeTile : 128;
  cut.row_tiles = row_tiles(cut.tile_rows);
  // In order, all numbers of rows are cut as few would be.
  const int64_t cut_rows = args.in_order != 0 ? 16 : cut.tile_rows;
  const int64_t cut_row_tiles = args.in_order != 0 ? 1 : cut.row_tiles;
  const int64_t slots = cut_rows <= 64 ? 2 * kMultiprocessors : kMultiprocessors;
  // A part of the sum should take longer than adding it to the others.
  const int64_t turns = wide_groups(args.inner);
  const int64_t most = std::min(kMostSplits, turns / std::max<int64_t>(cut_rows / 16, 2));
  const int64_t wanted =
      std::max<int64_t>(std::min(slots / (cut_row_tiles * cut.output_tiles), most), 1);
  cut.turns_each = (turns + wanted - 1) / wanted;
  cut.cuts = (turns + cut.turns_each - 1) / cut.turns_each;
  const bool one_block = args.in_order != 0 && cut.tile_rows == kFoldingTile &&
                         cut.row_tiles * cut.output_tiles >= kMultiprocessors;
  cut.splits = one_block ? 1 : cut.cuts;
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
  const auto type = static_cast<DType>(args.type);
  if (type == DType::f16) return launch_wide<DType::f16>(args, stream);
  if (type == DType::bf16) return launch_wide<DType::bf16>(args, stream);
  for_quantized_type(type, [&]<DType kType>() { launch_wide<kType>(args, stream); });
}

}  // namespace octavo::cuda
