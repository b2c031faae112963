#include "backend/cuda/wide_tiles.cuh"

namespace octavo::cuda {

template void launch_wide<DType::q4_k>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::q5_k>(const WideTilesArgs&, cudaStream_t);
template void launch_wide<DType::iq4_xs>(const WideTilesArgs&, cudaStream_t);

}  // namespace octavo::cuda
