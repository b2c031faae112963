// Attention over one segment of keys, and the merging of segments (after Dao et al., 2022), for the
// instruction set of the translation unit.
//
// Order of operations behind one output element, which nothing may change:
//   score    s = scale * (fma over head_dim ascending), then the soft cap
//   maximum  m = the largest s of the segment
//   weights  p = exp(s - m); their sum in 16 lanes, tile after tile, lanes then added as a tree
//   values   fma(p, v) over the keys of the segment, ascending
//   merge    segments ascending, each with its own maximum, sum and values
// K and V are what the cache holds, as floats: exact, whatever their type. A pair's arithmetic is
// its own: which pairs share a loaded tile changes no bit of any of them.
// Slots that a pair does not see may hold anything, NaN too: their scores are replaced, not
// multiplied, and their values never enter the arithmetic.
#pragma once

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernel_args.h"
#include "backend/cpu/kv_tiles.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// Pairs whose sums are held in registers at once, and how many key tiles or value vectors besides,
// so that enough independent sums are under way and none is spilled.
inline constexpr int kPairsAtOnce = 4;
template <int pairs>
inline constexpr int kKeyTilesAtOnce = 2 * pairs <= kRowTile ? 2 : 1;
template <int pairs>
inline constexpr int kVectorsAtOnce = kRowTile == 8 || pairs == 1 ? 4 : (pairs == 2 ? 2 : 1);

// The innermost loops stay functions of their own: inside of a larger one, compilers (g++ 12) keep
// their sums in memory and not in registers.
#define OCTAVO_LOOP __attribute__((noinline))

template <int n>
struct Count {
  static constexpr int value = n;
};

// Calls body(Count<n>, first pair) for the pairs of a run, kPairsAtOnce at a time.
template <class Body>
OCTAVO_INLINE void for_pairs(const TileRun& run, const Body& body) {
  int pair = run.first_pair;
  const int last = run.first_pair + run.pairs;
  for (; pair + kPairsAtOnce <= last; pair += kPairsAtOnce) body(Count<kPairsAtOnce>(), pair);
  switch (last - pair) {
    case 3:
      body(Count<3>(), pair);
      break;
    case 2:
      body(Count<2>(), pair);
      break;
    case 1:
      body(Count<1>(), pair);
      break;
    default:
      break;
  }
}

OCTAVO_INLINE int32_t clamp_to_tile(int32_t key, int32_t tile) {
  const int32_t lane = key - 16 * tile;
  return lane < 0 ? 0 : (lane > 16 ? 16 : lane);
}

// Blocks lie anywhere in memory and a tile is smaller than a page, so that the processor's own
// prefetcher sees little of what comes. While tiles are worked on, those after them are asked for:
// the keys in the order of the runs, then the values in the same order.
OCTAVO_INLINE const std::byte* tile_at(const AttentionSegment& segment, size_t index) {
  if (index < segment.tile_count) return segment.memory + segment.tile_offsets[index];
  const size_t value = index - segment.tile_count < segment.tile_count ? index - segment.tile_count
                                                                       : segment.tile_count - 1;
  return segment.memory + segment.tile_offsets[value] + segment.value_offset;
}

OCTAVO_INLINE void prefetch(const std::byte* from, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(from + line);
}

// scores[pair][key] for `pairs` pairs from `pair` on and the `tiles` key tiles from `tile` on, of
// which keys[t] is the content. Line by line, next[t] is asked for.
template <class Element, int pairs, int tiles>
OCTAVO_LOOP void score_tiles(const AttentionSegment& segment, int pair, int32_t tile,
                             const Element* const* keys, const std::byte* const* next,
                             int64_t next_step, float* scores) {
  // Copies, so that the loop need not look up where things are.
  const float* queries[pairs];
  for (int p = 0; p < pairs; ++p) queries[p] = segment.queries[pair + p];
  F32x16 sums[pairs][tiles];
  for (int p = 0; p < pairs; ++p) {
    for (int t = 0; t < tiles; ++t) sums[p][t] = zero();
  }
  for (int32_t d = 0; d < segment.head_dim; ++d) {
    F32x16 key[tiles];
    for (int t = 0; t < tiles; ++t) {
      key[t] = load_element(keys[t] + 16 * d);
      __builtin_prefetch(next[t] + next_step * d);
    }
    for (int p = 0; p < pairs; ++p) {
      const F32x16 query = broadcast(queries[p][d]);
      for (int t = 0; t < tiles; ++t) sums[p][t] = fma(query, key[t], sums[p][t]);
    }
  }
  const F32x16 scale = broadcast(segment.scale);
  for (int p = 0; p < pairs; ++p) {
    float* row = scores + (pair + p) * kSegmentKeys + 16 * tile;
    for (int t = 0; t < tiles; ++t) store(row + 16 * t, mul(sums[p][t], scale));
  }
}

// The scores of every run, each tile loaded once.
template <class Tiles>
inline void score_runs(const AttentionSegment& segment, Tiles& tiles, float* scores) {
  const int64_t next_step = Tiles::bytes(segment.head_dim) / segment.head_dim;
  size_t index = 0;  // of the tile among those of all runs
  for (const TileRun* run = segment.runs; run < segment.runs + segment.run_count; ++run) {
    const int32_t last_tile = run->first_tile + run->tiles;
    for (int32_t tile = run->first_tile; tile < last_tile;) {
      const int loaded = last_tile - tile < 2 ? 1 : 2;
      const typename Tiles::Element* keys[2] = {};
      const std::byte* next[2] = {};
      for (int t = 0; t < loaded; ++t, ++index) {
        keys[t] = tiles.keys(tile_at(segment, index), segment.head_dim, t);
        next[t] = tile_at(segment, index + loaded);
      }
      for_pairs(*run, [&](auto count, int pair) {
        constexpr int pairs = decltype(count)::value;
        if (loaded == 2 && kKeyTilesAtOnce<pairs> == 2) {
          score_tiles<typename Tiles::Element, pairs, 2>(segment, pair, tile, keys, next, next_step,
                                                         scores);
          return;
        }
        for (int t = 0; t < loaded; ++t) {
          score_tiles<typename Tiles::Element, pairs, 1>(segment, pair, tile + t, keys + t,
                                                         next + t, next_step, scores);
        }
      });
      tile += loaded;
    }
  }
}

// Turns the scores of one pair into weights exp(s - max); gives the maximum and the weights' sum.
inline void weigh_scores(const AttentionSegment& segment, int pair, float* scores, float* max_out,
                         float* sum_out) {
  const int32_t first = segment.first[pair];
  const int32_t last = segment.last[pair];
  const F32x16 unseen = broadcast(-__builtin_inff());
  const F32x16 cap = broadcast(segment.soft_cap);
  F32x16 largest = unseen;
  for (int32_t tile = first / 16; 16 * tile < last; ++tile) {
    F32x16 score = load(scores + 16 * tile);
    if (segment.soft_cap > 0) score = mul(cap, tanh(div(score, cap)));
    score = select_first(clamp_to_tile(last, tile), score, unseen);
    score = select_first(clamp_to_tile(first, tile), unseen, score);
    store(scores + 16 * tile, score);
    largest = max(largest, score);
  }
  const float maximum = reduce_max(largest);
  F32x16 sum = zero();
  for (int32_t tile = first / 16; 16 * tile < last; ++tile) {
    const F32x16 weight = exp(sub(load(scores + 16 * tile), broadcast(maximum)));
    store(scores + 16 * tile, weight);
    sum = add(sum, weight);
  }
  *max_out = maximum;
  *sum_out = reduce_add(sum);
}

// values[pair][d..] += weights * V over keys [from, to) of a tile, for `vectors` vectors of 16.
template <class Element, int pairs, int vectors>
inline void add_value_vectors(const Element* values, int64_t value_stride, const float* weights,
                              int32_t from, int32_t to, float* sums_out, int64_t sum_stride) {
  F32x16 sums[pairs][vectors];
  for (int p = 0; p < pairs; ++p) {
    for (int v = 0; v < vectors; ++v) sums[p][v] = load(sums_out + p * sum_stride + 16 * v);
  }
  for (int32_t key = from; key < to; ++key) {
    F32x16 value[vectors];
    for (int v = 0; v < vectors; ++v) {
      value[v] = load_element(values + key * value_stride + 16 * v);
    }
    for (int p = 0; p < pairs; ++p) {
      const F32x16 weight = broadcast(weights[p * kSegmentKeys + key]);
      for (int v = 0; v < vectors; ++v) sums[p][v] = fma(weight, value[v], sums[p][v]);
    }
  }
  for (int p = 0; p < pairs; ++p) {
    for (int v = 0; v < vectors; ++v) store(sums_out + p * sum_stride + 16 * v, sums[p][v]);
  }
}

// The same for the last elements of a head whose dimension is not a multiple of 16.
template <class Element>
inline void add_last_values(const Element* values, int64_t value_stride, int count,
                            const float* weights, int32_t from, int32_t to, float* sums_out) {
  F32x16 sums = load(sums_out);
  for (int32_t key = from; key < to; ++key) {
    sums = fma(broadcast(weights[key]), load_elements(values + key * value_stride, count), sums);
  }
  store(sums_out, sums);
}

// Adds keys [from, to) of one tile, all of which the `pairs` pairs from `pair` on see.
template <class Element, int pairs>
OCTAVO_LOOP void add_value_tile(const Element* values, int32_t head_dim, int pair, int32_t tile,
                                int32_t from, int32_t to, const float* scores,
                                const AttentionState& out) {
  constexpr int vectors = kVectorsAtOnce<pairs>;
  const float* weights = scores + pair * kSegmentKeys + 16 * tile;
  float* sums = out.values + pair * out.stride;
  int32_t d = 0;
  for (; d + 16 * vectors <= head_dim; d += 16 * vectors) {
    add_value_vectors<Element, pairs, vectors>(values + d, head_dim, weights, from, to, sums + d,
                                               out.stride);
  }
  for (; d + 16 <= head_dim; d += 16) {
    add_value_vectors<Element, pairs, 1>(values + d, head_dim, weights, from, to, sums + d,
                                         out.stride);
  }
  if (d == head_dim) return;
  for (int p = 0; p < pairs; ++p) {
    add_last_values(values + d, head_dim, head_dim - d, weights + p * kSegmentKeys, from, to,
                    sums + p * out.stride + d);
  }
}

// Adds the keys of one tile that each of the `pairs` pairs from `pair` on sees.
template <class Element, int pairs>
OCTAVO_INLINE void add_seen_values(const AttentionSegment& segment, const Element* values, int pair,
                                   int32_t tile, const float* scores, const AttentionState& out) {
  int32_t from[pairs];
  int32_t to[pairs];
  bool together = true;
  for (int p = 0; p < pairs; ++p) {
    from[p] = clamp_to_tile(segment.first[pair + p], tile);
    to[p] = clamp_to_tile(segment.last[pair + p], tile);
    together = together && from[p] == from[0] && to[p] == to[0];
  }
  if (together) {
    add_value_tile<Element, pairs>(values, segment.head_dim, pair, tile, from[0], to[0], scores,
                                   out);
    return;
  }
  // The edge of what rows see runs through this tile.
  for (int p = 0; p < pairs; ++p) {
    add_value_tile<Element, 1>(values, segment.head_dim, pair + p, tile, from[p], to[p], scores,
                               out);
  }
}

// Every run's values, each tile loaded once. The runs that a pair is in come in order of tiles.
template <class Tiles>
inline void add_runs(const AttentionSegment& segment, Tiles& tiles, const float* scores,
                     const AttentionState& out) {
  const int64_t tile_bytes = Tiles::bytes(segment.head_dim);
  size_t index = 0;
  for (const TileRun* run = segment.runs; run < segment.runs + segment.run_count; ++run) {
    for (int32_t tile = run->first_tile; tile < run->first_tile + run->tiles; ++tile, ++index) {
      const size_t value = segment.tile_count + index;
      prefetch(tile_at(segment, value + 2), tile_bytes);
      const typename Tiles::Element* values =
          tiles.values(tile_at(segment, value), segment.head_dim);
      for_pairs(*run, [&](auto count, int pair) {
        constexpr int pairs = decltype(count)::value;
        add_seen_values<typename Tiles::Element, pairs>(segment, values, pair, tile, scores, out);
      });
    }
  }
}

template <class Tiles>
inline void attend(const AttentionSegment& segment, const AttentionState& out) {
  alignas(64) float scores[kAttentionPairs * kSegmentKeys];
  Tiles tiles;
  score_runs(segment, tiles, scores);
  for (int p = 0; p < segment.pairs; ++p) {
    out.max[p] = -__builtin_inff();
    out.sum[p] = 0.0f;
    if (segment.first[p] >= segment.last[p]) continue;
    weigh_scores(segment, p, scores + p * kSegmentKeys, out.max + p, out.sum + p);
    for (int64_t d = 0; d < out.stride; d += 16) store(out.values + p * out.stride + d, zero());
  }
  add_runs(segment, tiles, scores, out);
}

// The state of every pair after this segment alone.
inline void attend_segment(const AttentionSegment& segment, const AttentionState& out) {
  with_tiles(segment.type,
             [&](auto kind) { attend<typename decltype(kind)::Tiles>(segment, out); });
}

// Adds the state of the next segment to that of the segments before it.
inline void merge_attention(const AttentionState& into, const AttentionState& next, int32_t pairs) {
  const F32x16 before = load_partial(into.max, pairs);
  const F32x16 after = load_partial(next.max, pairs);
  const F32x16 largest = max(before, after);
  float old_factors[16];
  float new_factors[16];
  float largest_of[16];
  store(old_factors, exp(sub(before, largest)));
  store(new_factors, exp(sub(after, largest)));
  store(largest_of, largest);
  for (int p = 0; p < pairs; ++p) {
    if (next.sum[p] == 0.0f) continue;
    float* values = into.values + p * into.stride;
    const float* added = next.values + p * next.stride;
    if (into.sum[p] == 0.0f) {
      into.max[p] = next.max[p];
      into.sum[p] = next.sum[p];
      std::memcpy(values, added, static_cast<size_t>(into.stride) * sizeof(float));
      continue;
    }
    into.max[p] = largest_of[p];
    into.sum[p] = into.sum[p] * old_factors[p] + next.sum[p] * new_factors[p];
    const F32x16 old_factor = broadcast(old_factors[p]);
    const F32x16 new_factor = broadcast(new_factors[p]);
    for (int64_t d = 0; d < into.stride; d += 16) {
      const F32x16 scaled = mul(load(values + d), old_factor);
      store(values + d, fma(load(added + d), new_factor, scaled));
    }
  }
}

// out[pair] = values / sum.
inline void finish_attention(const AttentionState& state, int32_t pairs, int32_t head_dim,
                             float* const* out) {
  for (int p = 0; p < pairs; ++p) {
    const float* values = state.values + p * state.stride;
    const F32x16 sum = broadcast(state.sum[p]);
    int32_t d = 0;
    for (; d + 16 <= head_dim; d += 16) store(out[p] + d, div(load(values + d), sum));
    if (d < head_dim) store_partial(out[p] + d, div(load(values + d), sum), head_dim - d);
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
