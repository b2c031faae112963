#include "backend/cuda/linear_tiles.cuh"

namespace octavo::cuda {

template void launch_tiles<DType::q4_k>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q5_k>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::iq4_xs>(const LinearTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
