#include "backend/cuda/projections.h"

#include <algorithm>
#include <vector>

#include "backend/cuda/attention.h"
#include "backend/cuda/cuda_weight.h"
#include "backend/cuda/dense_rows.h"
#include "backend/cuda/dequantize.h"
#include "backend/cuda/few_rows.h"
#include "backend/cuda/linear_tiles.h"
#include "backend/cuda/round_rows.h"
#include "backend/cuda/row_kernels.h"
#include "backend/cuda/wide_tiles.h"
#include "base/check.h"

namespace octavo::cuda {
namespace {

// Up to here weights are expanded in registers; from here on the library is faster, even though
// quantised weights pass through memory as bf16 first.
constexpr int64_t kTileRows = 32;
constexpr int64_t kWideRows = 512;  // the same where wide_tiles.h has the kernels
// From here on f32 products go to the library.
constexpr int64_t kFloatRows = 64;
// Values of a quantised weight that are turned into bf16 at a time: they stay in the device's cache
// until the library reads them.
constexpr int64_t kDequantized = int64_t{16} << 20;

const CudaWeight& own(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}

const float* bias_of(const Projection& projection) {
  return projection.bias == nullptr ? nullptr : own(*projection.bias).vector();
}

// The activations in 16 or 8 bits, made when a product first wants them.
class Activations {
 public:
  Activations(Tensor x, const ProductTools& tools) : x_(x), tools_(tools) {}

  struct Rows {
    const void* values = nullptr;
    const float* scales = nullptr;
  };
  // f16 with scales, or bf16.
  const Rows& get(DType type) {
    Rows& rows = type == DType::bf16 ? bf16_ : f16_;
    if (rows.values == nullptr) {
      auto* values = tools_.temporary.take<uint16_t>(static_cast<size_t>(x_.elements()));
      auto* scales = tools_.temporary.take<float>(static_cast<size_t>(x_.rows));
      tools_.tape.add(launch_round_rows, RoundRowsArgs{values, scales, x_.data, x_.rows, x_.columns,
                                                       static_cast<int64_t>(type)});
      rows = {values, type == DType::bf16 ? nullptr : scales};
    }
    return rows;
  }

  // The same for wide_tiles.h; f16 by the norm that makes x where it was noted last.
  const Rows& wide(DType type) {
    Rows& rows = type == DType::bf16 ? wide_bf16_ : wide_f16_;
    if (rows.values == nullptr) {
      auto* values =
          tools_.temporary.take<uint16_t>(static_cast<size_t>(wide_elements(x_.rows, x_.columns)));
      auto* scales = tools_.temporary.take<float>(static_cast<size_t>(x_.rows));
      rows = {values, scales};
      const bool normed = type != DType::bf16 && norm_rounds_wide(x_.columns) &&
                          tools_.tape.amend_last(launch_norm, [&](NormArgs& args) {
                            if (args.out != x_.data || args.rows != x_.rows) return false;
                            args.wide = values;
                            args.wide_scales = scales;
                            return true;
                          });
      if (!normed) {
        tools_.tape.add(launch_round_wide, RoundWideArgs{values, scales, x_.data, x_.rows,
                                                         x_.columns, static_cast<int64_t>(type)});
      }
    }
    return rows;
  }

  // In bytes, by the operation that makes x where it was noted last.
  const RoundedRows& bytes() {
    if (bytes_.codes != nullptr) return bytes_;
    const auto count = static_cast<size_t>(x_.elements());
    bytes_.codes = tools_.temporary.take<int8_t>(count);
    bytes_.chunks = tools_.temporary.take<RoundedChunk>(count / kChunk);
    if (!are_rounded_before()) {
      tools_.tape.add(launch_round, RoundArgs{bytes_, x_.data, x_.elements()});
    }
    return bytes_;
  }

 private:
  bool are_rounded_before() {
    const auto rounds = [this](auto launch, const auto& makes_x) {
      return tools_.tape.amend_last(launch, [&](auto& args) {
        if (!makes_x(args)) return false;
        args.rounded = bytes_;
        return true;
      });
    };
    return rounds(launch_norm,
                  [this](const NormArgs& args) {
                    return norm_rounds(x_.columns) && args.out == x_.data && args.rows == x_.rows;
                  }) ||
           rounds(launch_gate,
                  [this](const GateArgs& args) {
                    return args.gate == x_.data && args.elements == x_.elements();
                  }) ||
           rounds(launch_attention, [this](const AttentionArgs& args) {
             return merges_round(args) && args.out == x_.data && args.rows == x_.rows;
           });
  }

  Tensor x_;
  const ProductTools& tools_;
  Rows f16_;
  Rows bf16_;
  Rows wide_f16_;
  Rows wide_bf16_;
  RoundedRows bytes_ = {};
};

// What the library leaves undone.
void finish_product(const Projection& projection, const float* scales, const ProductTools& tools) {
  if (scales == nullptr && projection.bias == nullptr) return;
  tools.tape.add(launch_scale_and_bias,
                 ScaleAndBiasArgs{projection.out.data, scales, bias_of(projection),
                                  projection.out.rows, projection.out.columns});
}

// Up to kMostParts products whose weights have one type: a launch for all.
using Group = std::span<const Projection* const>;

void with_dense_rows(Tensor x, Group group, const ProductTools& tools) {
  DenseRowsArgs args = {};
  args.x = x.data;
  args.rows = x.rows;
  args.inner = x.columns;
  args.type = static_cast<int64_t>(group.front()->weight->type());
  for (const Projection* projection : group) {
    const CudaWeight& weight = own(*projection->weight);
    args.parts[args.count++] = {projection->out.data, bias_of(*projection), weight.dense(),
                                weight.rows()};
  }
  tools.tape.add(launch_dense_rows, args);
}

void with_floats(Tensor x, const Projection& projection, const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  const auto type = static_cast<int64_t>(weight.type());
  if (weight.type() == DType::f32 && x.rows >= kFloatRows && !tools.deterministic) {
    tools.tape.add(
        launch_dense_product,
        DenseProductArgs{projection.out.data, x.data, weight.dense(), tools.workspace,
                         &tools.cublas, x.rows, weight.rows(), x.columns, weight.rows(), type});
    finish_product(projection, nullptr, tools);
    return;
  }
  const Projection* const alone = &projection;
  with_dense_rows(x, Group(&alone, 1), tools);
}

QuantizedPart quantized_part(const Projection& projection) {
  return {projection.out.data, bias_of(projection), own(*projection.weight).quantized()};
}

// For wide_tiles.h a dense matrix is one whose codes are its values.
QuantizedPart wide_part(const Projection& projection) {
  const CudaWeight& weight = own(*projection.weight);
  if (is_quantized(weight.type())) return quantized_part(projection);
  const QuantizedView view = {.codes = static_cast<const uint8_t*>(weight.dense()),
                              .high = nullptr,
                              .scales = nullptr,
                              .super = nullptr,
                              .rows = weight.rows(),
                              .chunks = weight.columns() / kChunk};
  return {projection.out.data, bias_of(projection), view};
}

// What activations become for weights of a type.
DType type_on_tensor_cores(DType weight) {
  return weight == DType::bf16 ? DType::bf16 : DType::f16;
}

void with_few_rows(Tensor x, Activations& rounded, Group group, const ProductTools& tools) {
  const DType type = group.front()->weight->type();
  if (!is_quantized(type)) return with_dense_rows(x, group, tools);
  FewRowsArgs args = {};
  args.x = rounded.bytes();
  args.rows = x.rows;
  args.type = static_cast<int64_t>(type);
  for (const Projection* projection : group) args.parts[args.count++] = quantized_part(*projection);
  tools.tape.add(launch_few_rows, args);
}

template <class TilesArgs>
void set_scratch(TilesArgs& args, TilesScratch need, const ProductTools& tools) {
  OCTAVO_CHECK(need.counters <= kProductCounters, "{} counters", need.counters);
  args.partials = tools.temporary.take<std::byte>(need.partial_bytes);
  args.arrived = tools.counters;
}

void with_wide_tiles(Tensor x, Activations& rounded, Group group, const ProductTools& tools) {
  WideTilesArgs args = {};
  const DType type = group.front()->weight->type();
  const Activations::Rows& rows = rounded.wide(type_on_tensor_cores(type));
  args.x = rows.values;
  args.x_scales = rows.scales;
  args.rows = x.rows;
  args.inner = x.columns;
  args.in_order = tools.deterministic ? 1 : 0;
  args.type = static_cast<int64_t>(type);
  for (const Projection* projection : group) args.parts[args.count++] = wide_part(*projection);
  set_scratch(args, wide_tiles_scratch(args), tools);
  tools.tape.add(launch_wide_tiles, args);
}

// Calls body(group) for the projections, those with weights of one type together.
template <class Body>
void for_groups(std::span<const Projection> projections, const Body& body) {
  std::vector<const Projection*> left;
  for (const Projection& projection : projections) left.push_back(&projection);
  while (!left.empty()) {
    const DType type = left.front()->weight->type();
    const auto others = std::stable_partition(
        left.begin(), left.end(),
        [type](const Projection* projection) { return projection->weight->type() == type; });
    const auto end = std::min(others, left.begin() + kMostParts);
    body(Group(left.begin(), end));
    left.erase(left.begin(), end);
  }
}

void with_tiles(Tensor x, Activations& rounded, const Projection& projection,
                const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  const Activations::Rows& rows = rounded.get(type_on_tensor_cores(weight.type()));
  LinearTilesArgs args = {};
  args.out = projection.out.data;
  args.x = rows.values;
  args.x_scales = rows.scales;
  if (is_quantized(weight.type())) {
    args.weight = weight.quantized();
  } else {
    args.dense = weight.dense();
  }
  args.bias = bias_of(projection);
  set_scratch(args, linear_tiles_scratch(x.rows, weight.rows(), x.columns), tools);
  args.rows = x.rows;
  args.outputs = weight.rows();
  args.inner = x.columns;
  args.type = static_cast<int64_t>(weight.type());
  tools.tape.add(launch_linear_tiles, args);
}

void with_library(Tensor x, Activations& rounded, const Projection& projection,
                  const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  // Quantised weights become bf16.
  const DType type = weight.type() == DType::f16 ? DType::f16 : DType::bf16;
  const Activations::Rows& rows = rounded.get(type);
  DenseProductArgs product = {};
  product.x = rows.values;
  product.workspace = tools.workspace;
  product.library = &tools.cublas;
  product.rows = x.rows;
  product.inner = x.columns;
  product.out_stride = weight.rows();
  product.type = static_cast<int64_t>(type);
  if (!is_quantized(weight.type())) {
    product.out = projection.out.data;
    product.weight = weight.dense();
    product.outputs = weight.rows();
    tools.tape.add(launch_dense_product, product);
  } else {
    const int64_t at_once =
        std::min(std::max<int64_t>(kDequantized / x.columns / 128, 1) * 128, weight.rows());
    auto* part = tools.temporary.take<uint16_t>(static_cast<size_t>(at_once * x.columns));
    for (int64_t first = 0; first < weight.rows(); first += at_once) {
      const int64_t count = std::min(at_once, weight.rows() - first);
      tools.tape.add(launch_dequantize, DequantizeArgs{part, weight.quantized(), first, count,
                                                       static_cast<int64_t>(weight.type())});
      product.out = projection.out.data + first;
      product.weight = part;
      product.outputs = count;
      tools.tape.add(launch_dense_product, product);
    }
  }
  finish_product(projection, rows.scales, tools);
}

}  // namespace

void run_projections(Tensor x, std::span<const Projection> projections, const ProductTools& tools) {
  if (x.rows == 0) return;
  tools.temporary.reset();
  Activations rounded(x, tools);
  for (const Projection& projection : projections) {
    const Weight& weight = *projection.weight;
    OCTAVO_CHECK(projection.expert_of_row.empty(), "experts");
    OCTAVO_CHECK(weight.columns() == x.columns && projection.out.rows == x.rows &&
                     projection.out.columns == weight.rows(),
                 "[{}, {}] by [{}, {}] into [{}, {}]", x.rows, x.columns, weight.rows(),
                 weight.columns(), projection.out.rows, projection.out.columns);
  }
  for_groups(projections, [&](Group group) {
    const DType type = group.front()->weight->type();
    if (x.rows <= kMostFewRows && !tools.deterministic) {
      return with_few_rows(x, rounded, group, tools);
    }
    const bool in_floats = type == DType::f32 || x.columns % kChunk != 0;
    const bool is_wide =
        tools.deterministic ? !in_floats : is_quantized(type) && x.rows <= kWideRows;
    if (tools.wide_tiles && is_wide) return with_wide_tiles(x, rounded, group, tools);
    for (const Projection* projection : group) {
      if (in_floats) {
        with_floats(x, *projection, tools);
      } else if (tools.deterministic || (x.rows <= kTileRows && is_quantized(type))) {
        with_tiles(x, rounded, *projection, tools);
      } else {
        with_library(x, rounded, *projection, tools);
      }
    }
  });
}

}  // namespace octavo::cuda
