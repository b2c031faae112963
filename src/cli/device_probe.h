// What a device attains: the measure for what a model achieves on it.
#pragma once

#include "backend/backend.h"
#include "octavo/result.h"

namespace octavo::cli {

struct DeviceProbe {
  double copy_bytes_per_s = 0;          // read and written by a sum of two large tensors
  double product_operations_per_s = 0;  // of a product of large matrices, weights in BF16
};

// Times operations of the backend itself, and so works on any device; takes about a second. Must
// not run beside a step. Errors: the device has no memory for it.
Result<DeviceProbe> probe_device(Backend& backend);

}  // namespace octavo::cli
