#include "backend/cuda/driver.h"

#include <cuda_runtime_api.h>

#include "base/error.h"

namespace octavo::cuda {
namespace {

// The version of the interface whose functions are asked for: virtual memory is older.
constexpr unsigned int kVersion = 12000;

template <class Function>
Result<void> look_up(const char* name, Function*& function) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &address, kVersion, cudaEnableDefault, &found);
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) {
    return unsupported("CUDA: the driver has no {}", name);
  }
  function = reinterpret_cast<Function*>(address);
  return {};
}

Result<Driver> look_up_all() {
  Driver driver;
  OCTAVO_TRY(look_up("cuGetErrorName", driver.error_name));
  OCTAVO_TRY(look_up("cuMemGetAllocationGranularity", driver.granularity));
  OCTAVO_TRY(look_up("cuMemAddressReserve", driver.address_reserve));
  OCTAVO_TRY(look_up("cuMemAddressFree", driver.address_free));
  OCTAVO_TRY(look_up("cuMemCreate", driver.create));
  OCTAVO_TRY(look_up("cuMemRelease", driver.release));
  OCTAVO_TRY(look_up("cuMemMap", driver.map));
  OCTAVO_TRY(look_up("cuMemUnmap", driver.unmap));
  OCTAVO_TRY(look_up("cuMemSetAccess", driver.set_access));
  return driver;
}

}  // namespace

std::string Driver::name(CUresult result) const {
  const char* text = nullptr;
  return error_name(result, &text) == CUDA_SUCCESS ? text : "unknown error";
}

Result<const Driver*> load_driver() {
  static const Result<Driver> driver = look_up_all();
  if (!driver) return driver.error();
  return &driver.value();
}

}  // namespace octavo::cuda
