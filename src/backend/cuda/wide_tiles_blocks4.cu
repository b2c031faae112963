#include "backend/cuda/wide_tiles.cuh"

namespace octavo::cuda {

template void launch_wide<DType::q4_0>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q4_1>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::iq4_nl>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::mxfp4>(const WideTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
