#include "backend/cuda/wide_tiles.cuh"

namespace octavo::cuda {

template void launch_wide<DType::q2_k>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q3_k>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q6_k>(const WideTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
