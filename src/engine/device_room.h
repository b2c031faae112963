// Whether a model and the KV cache fit into the memory of a device that has its own: checked before
// anything is put there, so that an error comes at once and has both sizes. Stateless.
#pragma once

#include <cstdint>
#include <string>

#include "backend/create_backend.h"
#include "backend/kv_store.h"
#include "gguf/file.h"
#include "model/model.h"
#include "octavo/result.h"

namespace octavo {

// The weights and what steps compute with.
Result<void> check_model_room(const gguf::File& file, const std::string& device,
                              const DeviceMemory& memory);

// About the most memory that a step computes in: one of `tokens` tokens that are all scored, beside
// `outputs` rows of logits that are changed before they are drawn from.
int64_t step_bytes(const ModelShape& shape, int64_t tokens, int64_t outputs);

// `bytes`: what the KV cache gets. It has room for at least a block of each KV group.
// `device_limit`: it is what the device has left, and not what somebody asked for.
Result<void> check_kv_room(const KvShape& shape, int64_t bytes, const std::string& device,
                           bool device_limit);

}  // namespace octavo
