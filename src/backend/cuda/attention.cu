#include "backend/cuda/attention.h"

namespace octavo::cuda {

void launch_attention(const AttentionArgs& args, cudaStream_t stream) {
  if (args.block_capacity == 0) return;
  if (has_tensor_attention(args.kv)) {
    launch_tensor_attention(args, stream);
  } else {
    launch_general_attention(args, stream);
  }
  launch_attention_merge(args, stream);
}

}  // namespace octavo::cuda
