// What every backend checks of what it is given.
#pragma once

#include "backend/backend.h"

namespace octavo {

// What every operation of a step relies on, and the fields that have one value for now. Stops the
// process: the engine makes batches.
void check_batch(const Batch& batch);

void check_same_shape(const Tensor& a, const Tensor& b);

// Errors name the tensor: a shape that is not possible, or not of whole blocks, or not a vector.
Result<void> check_source(const WeightSource& source, WeightUse use);

}  // namespace octavo
