#include "backend/cuda/projections.h"

#include <algorithm>

#include "backend/cuda/cuda_weight.h"
#include "backend/cuda/dense_rows.h"
#include "backend/cuda/dequantize.h"
#include "backend/cuda/few_rows.h"
#include "backend/cuda/linear_tiles.h"
#include "backend/cuda/row_kernels.h"
#include "base/check.h"

namespace octavo::cuda {
namespace {

// Up to here weights are expanded in registers; from here on the library is faster, even though
// quantised weights pass through memory as bf16 first.
constexpr int64_t kTileRows = 32;
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
class RoundedRows {
 public:
  RoundedRows(Tensor x, const ProductTools& tools) : x_(x), tools_(tools) {}

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
      rows = {values, scales};
    }
    return rows;
  }

  struct Bytes {
    const int8_t* codes = nullptr;
    const RoundedChunk* chunks = nullptr;
  };
  const Bytes& bytes() {
    if (bytes_.codes == nullptr) {
      const auto count = static_cast<size_t>(x_.elements());
      auto* codes = tools_.temporary.take<int8_t>(count);
      auto* chunks = tools_.temporary.take<RoundedChunk>(count / kChunk);
      tools_.tape.add(launch_round_to_bytes,
                      RoundToBytesArgs{codes, chunks, x_.data, x_.rows, x_.columns});
      bytes_ = {codes, chunks};
    }
    return bytes_;
  }

 private:
  Tensor x_;
  const ProductTools& tools_;
  Rows f16_;
  Rows bf16_;
  Bytes bytes_;
};

void add_bias(const Projection& projection, const ProductTools& tools) {
  if (projection.bias == nullptr) return;
  tools.tape.add(launch_add_bias, AddBiasArgs{projection.out.data, bias_of(projection),
                                              projection.out.rows, projection.out.columns});
}

void with_floats(Tensor x, const Projection& projection, const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  const auto type = static_cast<int64_t>(weight.type());
  if (weight.type() == DType::f32 && x.rows >= kFloatRows && !tools.deterministic) {
    tools.tape.add(
        launch_dense_product,
        DenseProductArgs{projection.out.data, x.data, weight.dense(), tools.workspace,
                         &tools.cublas, x.rows, weight.rows(), x.columns, weight.rows(), type});
    add_bias(projection, tools);
    return;
  }
  tools.tape.add(launch_dense_rows,
                 DenseRowsArgs{projection.out.data, x.data, weight.dense(), bias_of(projection),
                               x.rows, weight.rows(), x.columns, type});
}

void with_bytes(Tensor x, RoundedRows& rounded, const Projection& projection,
                const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  const RoundedRows::Bytes& bytes = rounded.bytes();
  tools.tape.add(launch_few_rows,
                 FewRowsArgs{projection.out.data, bytes.codes, bytes.chunks, bias_of(projection),
                             weight.quantized(), x.rows, static_cast<int64_t>(weight.type())});
}

void with_tiles(Tensor x, RoundedRows& rounded, const Projection& projection,
                const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  const RoundedRows::Rows& rows =
      rounded.get(weight.type() == DType::bf16 ? DType::bf16 : DType::f16);
  const LinearTilesScratch need = linear_tiles_scratch(x.rows, weight.rows(), x.columns);
  OCTAVO_CHECK(need.counters <= kProductCounters, "{} counters", need.counters);
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
  args.partials = tools.temporary.take<std::byte>(need.partial_bytes);
  args.arrived = tools.counters;
  args.rows = x.rows;
  args.outputs = weight.rows();
  args.inner = x.columns;
  args.type = static_cast<int64_t>(weight.type());
  tools.tape.add(launch_linear_tiles, args);
}

void with_library(Tensor x, RoundedRows& rounded, const Projection& projection,
                  const ProductTools& tools) {
  const CudaWeight& weight = own(*projection.weight);
  DenseProductArgs product = {};
  product.x = rounded.get(DType::bf16).values;
  product.workspace = tools.workspace;
  product.library = &tools.cublas;
  product.rows = x.rows;
  product.inner = x.columns;
  product.out_stride = weight.rows();
  product.type = static_cast<int64_t>(DType::bf16);
  if (weight.type() == DType::bf16) {
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
  add_bias(projection, tools);
}

}  // namespace

void run_projections(Tensor x, std::span<const Projection> projections, const ProductTools& tools) {
  if (x.rows == 0) return;
  tools.temporary.reset();
  RoundedRows rounded(x, tools);
  for (const Projection& projection : projections) {
    const Weight& weight = *projection.weight;
    OCTAVO_CHECK(projection.expert_of_row.empty(), "experts");
    OCTAVO_CHECK(weight.columns() == x.columns && projection.out.rows == x.rows &&
                     projection.out.columns == weight.rows(),
                 "[{}, {}] by [{}, {}] into [{}, {}]", x.rows, x.columns, weight.rows(),
                 weight.columns(), projection.out.rows, projection.out.columns);
    const bool few = x.rows <= kMostFewRows && !tools.deterministic;
    if (weight.type() == DType::f32 || x.columns % kChunk != 0 ||
        (few && !is_quantized(weight.type()))) {
      with_floats(x, projection, tools);
    } else if (few) {
      with_bytes(x, rounded, projection, tools);
    } else if (tools.deterministic || weight.type() == DType::f16 ||
               (x.rows <= kTileRows && weight.type() != DType::bf16)) {
      with_tiles(x, rounded, projection, tools);
    } else {
      with_library(x, rounded, projection, tools);
    }
  }
}

}  // namespace octavo::cuda
