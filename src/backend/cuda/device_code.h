// What the kernels were compiled for, as they run on the device: code for a later architecture than
// the device's own does not run there, and code for an earlier one does without its instructions.
#pragma once

namespace octavo::cuda {

struct DeviceCode {
  bool waits;               // for the kernel before (launch.cuh): compute capability 9.0 and later
  bool warpgroup_products;  // warpgroup_products.cuh: Hopper alone
};

// Of the device that is current when it is called first: a process uses one.
const DeviceCode& device_code();

}  // namespace octavo::cuda
