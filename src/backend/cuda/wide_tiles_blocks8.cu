#include "backend/cuda/wide_tiles.cuh"

namespace octavo::cuda {

template void launch_wide<DType::q5_0>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q5_1>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q8_0>(const WideTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
