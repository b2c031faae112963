#include "backend/cuda/linear_tiles.cuh"

namespace octavo::cuda {

template void launch_tiles<DType::f16>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::bf16>(const LinearTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
