#include "backend/cuda/linear_tiles.h"

#include "backend/cuda/type_switch.h"

namespace octavo::cuda {

void launch_linear_tiles(const LinearTilesArgs& args, cudaStream_t stream) {
  const auto type = static_cast<DType>(args.type);
  if (type == DType::f16) return launch_tiles<DType::f16>(args, stream);
  if (type == DType::bf16) return launch_tiles<DType::bf16>(args, stream);
  for_quantized_type(type, [&]<DType kType>() { launch_tiles<kType>(args, stream); });
}

}  // namespace octavo::cuda
