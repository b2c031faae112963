#include "backend/cuda/linear_tiles.cuh"

namespace octavo::cuda {

template void launch_tiles<DType::q4_0>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::q4_1>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::mxfp4>(const LinearTilesArgs&, cudaStream_t);
template void launch_tiles<DType::iq4_nl>(const LinearTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
