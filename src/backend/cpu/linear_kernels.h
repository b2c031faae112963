// The matrix product out = x * weight^T, one template for all block-quantised types and one for the
// float types.
//
// Each output element is one lane, accumulated over the columns in ascending order, whatever the
// number of rows: that is what keeps the bits of a row the same alone and among others. A tile of
// several rows of x uses each unpacked line of codes while it is in registers.
#pragma once

#include "backend/cpu/linear.h"
#include "backend/cpu/linear_codes.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// --- shared by all types ---

// Groups that a task works on at once: their weights stay in the second-level cache while the tiles
// of a block of rows go over them.
inline constexpr size_t kGroupBlock = 4;

// Asks for the `bytes` of weights that lie kPrefetchBytes behind those that are read now. The
// processor's own prefetching keeps too few lines on their way when there is much to compute
// between two of them. Behind the end of the weights this is harmless.
template <size_t bytes>
OCTAVO_INLINE void prefetch(const std::byte* weights) {
  constexpr size_t kPrefetchBytes = 8192;
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(weights + kPrefetchBytes + i);
}

// The output elements of a group that exist: the last one may be cut short.
OCTAVO_INLINE void store_outputs(const LinearArgs& args, F32x16 sum, size_t group, size_t row) {
  float* out = args.out + row * args.out_stride + group * kGroupRows;
  const size_t left = args.weight.rows - group * kGroupRows;
  if (left >= kGroupRows) {
    store(out, sum);
  } else {
    store_partial(out, sum, static_cast<int>(left));
  }
}

// Calls Product::tile<n>(args, first group, groups, first row) for tiles of 8, 4, 2 and 1 rows that
// cover all rows, in blocks of rows whose activations stay in the second-level cache.
template <class Product>
OCTAVO_INLINE void for_each_tile(const LinearArgs& args, size_t row_bytes) {
  constexpr size_t kBlockBytes = size_t{1} << 18;
  constexpr size_t kTile = kRowTile;
  const size_t block = (kBlockBytes / row_bytes / kTile + 1) * kTile;
  for (size_t begin = 0; begin < args.rows; begin += block) {
    const size_t end = args.rows - begin < block ? args.rows : begin + block;
    for (size_t group = args.group_begin; group < args.group_end; group += kGroupBlock) {
      const size_t left = args.group_end - group;
      const size_t groups = left < kGroupBlock ? left : kGroupBlock;
      size_t row = begin;
      for (; end - row >= kTile; row += kTile)
        Product::template tile<kRowTile>(args, group, groups, row);
      if constexpr (kRowTile == 8) {
        if ((end - row) & 4) {
          Product::template tile<4>(args, group, groups, row);
          row += 4;
        }
      }
      if ((end - row) & 2) {
        Product::template tile<2>(args, group, groups, row);
        row += 2;
      }
      if ((end - row) & 1) Product::template tile<1>(args, group, groups, row);
    }
  }
}

// --- block-quantised weights ---

constexpr int log2_exact(int power) {
  return power <= 1 ? 0 : 1 + log2_exact(power / 2);
}

// The sum over lines [begin, end) of value * code, where `negative_sum` is minus the sum of the
// activation's codes there. Exact.
template <class Codes, int begin, int end>
OCTAVO_INLINE I32x16 dot_lines(const Lines& lines, const int8_t* codes, int32_t negative_sum) {
  constexpr int kOffset = Codes::kOffset + (Codes::kSigned ? kSignedDotBias : 0);
  I32x16 sum = broadcast_i32(0);
  if constexpr (kOffset != 0) sum = shift_left<log2_exact(kOffset)>(broadcast_i32(negative_sum));
  for (int j = begin; j < end; ++j) {
    const U8x64 four = broadcast_four(codes + 4 * j);
    if constexpr (Codes::kSigned) {
      sum = dot_signed(sum, lines.line[j], four);
    } else {
      sum = dot_u7(sum, lines.line[j], four);
    }
  }
  return sum;
}

// sum + the product of a chunk of weights and a chunk of activations.
template <class Codes, class Scales>
OCTAVO_INLINE F32x16 add_chunk(F32x16 sum, const Lines& lines, const ChunkScales& scales,
                               const ActivationChunk& x) {
  F32x16 product;
  if constexpr (Scales::kHalves) {
    const auto first = dot_lines<Codes, 0, 4>(lines, x.codes, x.negative_half_sums[0]);
    const auto second = dot_lines<Codes, 4, 8>(lines, x.codes, x.negative_half_sums[1]);
    product = mul(scales.scale[0], to_f32(first));
    product = fma(scales.scale[1], to_f32(second), product);
  } else {
    const auto whole = dot_lines<Codes, 0, 8>(lines, x.codes, x.negative_sum);
    product = mul(scales.scale[0], to_f32(whole));
  }
  sum = fma(broadcast(x.scale), product, sum);
  if constexpr (Scales::kMinimum && Scales::kHalves) {
    sum = fma(broadcast(x.scaled_half_sums[0]), scales.negative_minimum[0], sum);
    sum = fma(broadcast(x.scaled_half_sums[1]), scales.negative_minimum[1], sum);
  } else if constexpr (Scales::kMinimum) {
    sum = fma(broadcast(x.scaled_sum), scales.negative_minimum[0], sum);
  }
  return sum;
}

template <class Codes, class Scales>
struct QuantizedProduct {
  // The outputs of one group for `tile` rows of x.
  template <int tile>
  static OCTAVO_INLINE void one_group(const LinearArgs& args, size_t group, size_t row) {
    const std::byte* block = args.weight.data + group * args.weight.group_bytes;
    const ActivationChunk* x = args.chunks + row * args.x_stride;
    const size_t blocks = args.weight.columns / (Scales::kChunks * kChunk);
    U8x64 table = broadcast_byte(0);
    if constexpr (Codes::kTable) table = prepare_signed(load_table(args.weight.value_table));
    F32x16 sums[tile];
    for (F32x16& sum : sums) sum = zero();
    for (size_t b = 0; b < blocks; ++b) {
      const std::byte* codes = block + Scales::kBytes;
      for (size_t chunk = 0; chunk < Scales::kChunks; ++chunk) {
        prefetch<Codes::kBytes + Scales::kBytes / Scales::kChunks>(codes);
        const Lines lines = Codes::unpack(codes, table);
        const ChunkScales scales = Scales::read(block, chunk);
        for (int r = 0; r < tile; ++r) {
          const ActivationChunk& activations = x[static_cast<size_t>(r) * args.x_stride];
          sums[r] = add_chunk<Codes, Scales>(sums[r], lines, scales, activations);
        }
        codes += Codes::kBytes;
        ++x;
      }
      block = codes;
    }
    for (int r = 0; r < tile; ++r) {
      store_outputs(args, sums[r], group, row + static_cast<size_t>(r));
    }
  }

  template <int rows>
  static void tile(const LinearArgs& args, size_t group, size_t groups, size_t row) {
    for (size_t i = 0; i < groups; ++i) one_group<rows>(args, group + i, row);
  }
};

template <class Codes, class Scales>
inline void quantized_linear(const LinearArgs& args) {
  const size_t row_bytes = args.weight.columns / kChunk * sizeof(ActivationChunk);
  for_each_tile<QuantizedProduct<Codes, Scales>>(args, row_bytes);
}

// --- float weights ---

// The 16 weights of a column, for each float type.
struct WeightF32 {
  static constexpr size_t kBytes = 64;
  static OCTAVO_INLINE F32x16 read(const std::byte* from) {
    return load(reinterpret_cast<const float*>(from));
  }
};
struct WeightF16 {
  static constexpr size_t kBytes = 32;
  static OCTAVO_INLINE F32x16 read(const std::byte* from) {
    return load_f16(reinterpret_cast<const uint16_t*>(from));
  }
};
struct WeightBF16 {
  static constexpr size_t kBytes = 32;
  static OCTAVO_INLINE F32x16 read(const std::byte* from) {
    return load_bf16(reinterpret_cast<const uint16_t*>(from));
  }
};

template <class WeightType>
struct FloatProduct {
  // The outputs of `width` neighbouring groups for `rows` rows of x. A sum is a chain of dependent
  // additions, so speed needs several of them: many rows, or many groups when the rows are few.
  template <int rows, int width>
  static OCTAVO_INLINE void some_groups(const LinearArgs& args, size_t group, size_t row) {
    const std::byte* weights = args.weight.data + group * args.weight.group_bytes;
    const float* x = args.x + row * args.x_stride;
    F32x16 sums[rows][width];
    for (auto& of_row : sums) {
      for (F32x16& sum : of_row) sum = zero();
    }
    for (size_t column = 0; column < args.weight.columns; ++column) {
      F32x16 weight[width];
      for (int g = 0; g < width; ++g) {
        const std::byte* from = weights + static_cast<size_t>(g) * args.weight.group_bytes +
                                column * WeightType::kBytes;
        prefetch<WeightType::kBytes>(from);
        weight[g] = WeightType::read(from);
      }
      for (int r = 0; r < rows; ++r) {
        const F32x16 value = broadcast(x[static_cast<size_t>(r) * args.x_stride + column]);
        for (int g = 0; g < width; ++g) sums[r][g] = fma(weight[g], value, sums[r][g]);
      }
    }
    for (int r = 0; r < rows; ++r) {
      for (int g = 0; g < width; ++g) {
        store_outputs(args, sums[r][g], group + static_cast<size_t>(g),
                      row + static_cast<size_t>(r));
      }
    }
  }

  template <int rows>
  static void tile(const LinearArgs& args, size_t group, size_t groups, size_t row) {
    constexpr int kWidth = kRowTile / rows < 4 ? kRowTile / rows : 4;
    size_t i = 0;
    for (; i + kWidth <= groups; i += kWidth) some_groups<rows, kWidth>(args, group + i, row);
    if constexpr (kWidth > 1) {
      for (; i < groups; ++i) some_groups<rows, 1>(args, group + i, row);
    }
  }
};

template <class WeightType>
inline void float_linear(const LinearArgs& args) {
  for_each_tile<FloatProduct<WeightType>>(args, args.weight.columns * sizeof(float));
}

// --- all types ---

inline void linear(const LinearArgs& args) {
  switch (args.weight.type) {
    case DType::f32:
      return float_linear<WeightF32>(args);
    case DType::f16:
      return float_linear<WeightF16>(args);
    case DType::bf16:
      return float_linear<WeightBF16>(args);
    case DType::q4_0:
      return quantized_linear<Codes4<8>, ScaleF16>(args);
    case DType::q4_1:
      return quantized_linear<Codes4<0>, ScaleAndAddendF16>(args);
    case DType::q5_0:
      return quantized_linear<Codes5<16>, ScaleF16>(args);
    case DType::q5_1:
      return quantized_linear<Codes5<0>, ScaleAndAddendF16>(args);
    case DType::q8_0:
      return quantized_linear<Codes8, ScaleF16>(args);
    case DType::q2_k:
      return quantized_linear<Codes2, ScaleSuper16>(args);
    case DType::q3_k:
      return quantized_linear<Codes3<4>, ScaleSuperSigned16>(args);
    case DType::q4_k:
      return quantized_linear<Codes4<0>, ScaleSuper32>(args);
    case DType::q5_k:
      return quantized_linear<Codes5<0>, ScaleSuper32>(args);
    case DType::q6_k:
      return quantized_linear<Codes6<32>, ScaleSuperSigned16>(args);
    case DType::iq4_nl:
      return quantized_linear<Codes4Table, ScaleF16>(args);
    case DType::iq4_xs:
      return quantized_linear<Codes4Table, ScaleSuperSigned32>(args);
    case DType::mxfp4:
      return quantized_linear<Codes4Table, ScaleE8M0>(args);
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
