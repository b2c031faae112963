// A run with the memory of the systems before paged attention: every request reserves one
// contiguous range of slots for its whole life when it is admitted.
//
// "Efficient Memory Management for Large Language Model Serving with PagedAttention" (arXiv
// 2309.06180, section 6.1) compares with three of these, under the names Orca (Max), Orca (Pow2)
// and Orca (Oracle), and has them placed by a buddy allocator. Requests are scheduled step by step
// and first come first served, as by the scheduler of blocks; nothing is shared and nothing
// preempted.
#pragma once

#include "simulate/machine.h"
#include "simulate/measurement.h"
#include "simulate/workload.h"

namespace octavo::simulate {

enum class Reservation {
  longest,       // the whole context, whatever comes
  power_of_two,  // the prompt, and the next power of two of the output's length
  true_length,   // what will be used, as if the end were known
};

Measurement run_reserved(const Machine& machine, const Workload& workload, Reservation reservation);

}  // namespace octavo::simulate
