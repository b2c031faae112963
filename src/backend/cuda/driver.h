// The functions of the CUDA driver behind virtual memory, looked up at run time.
//
// The program is not linked against the driver's library, so that one binary starts on machines
// that have none.
#pragma once

#include <cuda.h>

#include <string>

#include "octavo/result.h"

namespace octavo::cuda {

struct Driver {
  decltype(&cuGetErrorName) error_name = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuMemAddressReserve) address_reserve = nullptr;
  decltype(&cuMemAddressFree) address_free = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;

  // The name of an error, for messages.
  std::string name(CUresult result) const;
};

// Errors: a driver that lacks one of them. The object lives as long as the program.
Result<const Driver*> load_driver();

}  // namespace octavo::cuda
