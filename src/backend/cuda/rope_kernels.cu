#include "backend/cuda/rope_kernels.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/rope_store.cuh"

namespace octavo::cuda {
namespace {

__global__ void compute_angles(const __grid_constant__ RopeAnglesArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= args.tokens * args.pairs) return;
  // In double: the product reaches many thousand radians, of which a float keeps few digits after
  // the point.
  const double angle = static_cast<double>(args.positions[i / args.pairs]) *
                       static_cast<double>(args.frequencies[i % args.pairs]);
  double sine = 0.0;
  double cosine = 0.0;
  sincos(angle, &sine, &cosine);
  args.cosines[i] = static_cast<float>(cosine * static_cast<double>(args.magnitude));
  args.sines[i] = static_cast<float>(sine * static_cast<double>(args.magnitude));
}

constexpr int kHeadThreads = 64;
constexpr int kBlockHeads = 4;

// A block has some heads of one token, kHeadThreads threads each: of q, or of k and then of v too.
template <class T>
__global__ void __launch_bounds__(kHeadThreads* kBlockHeads)
    rotate_and_store(const __grid_constant__ RopeStoreArgs args) {
  follow_previous();
  const int64_t token = blockIdx.x;
  const auto head = static_cast<int>(blockIdx.y * kBlockHeads + threadIdx.x / kHeadThreads);
  if (head >= args.heads + args.kv_heads) return;
  const auto thread = static_cast<int>(threadIdx.x % kHeadThreads);
  const bool is_key = head >= args.heads;
  const int kv_head = head - args.heads;
  const int64_t of_key = (token * args.kv_heads + kv_head) * args.head_dim;
  float* x = is_key ? args.k + of_key : args.q + (token * args.heads + head) * args.head_dim;
  T* keys = nullptr;
  if (is_key) {
    keys = stored_head<T>(args, args.keys, token, kv_head);
    T* values = stored_head<T>(args, args.values, token, kv_head);
    for (int i = thread; i < args.head_dim; i += kHeadThreads) {
      values[i] = rounded<T>(args.v[of_key + i]);
    }
  }
  const auto put = [&](int i, float value) {
    x[i] = value;
    if (is_key) keys[i] = rounded<T>(value);
  };
  for (int i = thread; i < args.pairs; i += kHeadThreads) {
    const int first = args.interleaved != 0 ? 2 * i : i;
    const int second = args.interleaved != 0 ? 2 * i + 1 : i + args.pairs;
    const int64_t angle = token * args.pairs + i;
    const float2 pair = turned({x[first], x[second]}, args.cosines[angle], args.sines[angle]);
    put(first, pair.x);
    put(second, pair.y);
  }
  if (!is_key) return;
  for (int i = 2 * args.pairs + thread; i < args.head_dim; i += kHeadThreads) {
    keys[i] = rounded<T>(x[i]);
  }
}

}  // namespace

void launch_rope_angles(const RopeAnglesArgs& args, cudaStream_t stream) {
  constexpr int kThreads = 128;
  launch(compute_angles, blocks_of(args.tokens * args.pairs, kThreads), kThreads, args, stream);
}

void launch_rope_store(const RopeStoreArgs& args, cudaStream_t stream) {
  constexpr int kThreads = kHeadThreads * kBlockHeads;
  const dim3 grid(static_cast<unsigned int>(args.tokens),
                  blocks_of(args.heads + args.kv_heads, kBlockHeads));
  switch (static_cast<DType>(args.type)) {
    case DType::f16:
      launch(rotate_and_store<__half>, grid, kThreads, args, stream);
      break;
    case DType::bf16:
      launch(rotate_and_store<__nv_bfloat16>, grid, kThreads, args, stream);
      break;
    default:
      launch(rotate_and_store<float>, grid, kThreads, args, stream);
      break;
  }
}

}  // namespace octavo::cuda
