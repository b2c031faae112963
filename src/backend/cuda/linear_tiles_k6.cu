#include "backend/cuda/linear_tiles.cuh"

namespace octavo::cuda {

template void launch_tiles<DType::q2_k>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q3_k>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q6_k>(const LinearTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
