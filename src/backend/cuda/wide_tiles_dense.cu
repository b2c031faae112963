#include "backend/cuda/wide_tiles.cuh"

namespace octavo::cuda {

template void launch_wide<DType::f16>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::bf16>(const WideTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
