#include "backend/cuda/linear_tiles.cuh"

namespace octavo::cuda {

template void launch_tiles<DType::q5_0>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q5_1>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q8_0>(const LinearTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
