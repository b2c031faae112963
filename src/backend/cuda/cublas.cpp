#include "backend/cuda/cublas.h"

#include <cublasLt.h>
#include <dlfcn.h>

#include <map>
#include <string>
#include <tuple>

#include "backend/cuda/check_cuda.h"
#include "base/error.h"

namespace octavo::cuda {
namespace {

// Of the toolkit that the headers come from.
constexpr const char* kNames[] = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"};

cudaDataType_t data_type(DType type) {
  switch (type) {
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      return CUDA_R_32F;
  }
}

void check_cublas(cublasStatus_t status, const char* what) {
  OCTAVO_CHECK(status == CUBLAS_STATUS_SUCCESS, "{}: status {}", what, static_cast<int>(status));
}

}  // namespace

struct Cublas::Functions {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&cublasLtMatmulAlgoGetHeuristic) get_heuristic;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
};

struct Cublas::State {
  // How products of one shape are done.
  struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr;
    cublasLtMatrixLayout_t x = nullptr;
    cublasLtMatrixLayout_t out = nullptr;
    cublasLtMatmulAlgo_t algorithm = {};
  };
  using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t>;

  void* library = nullptr;
  Functions functions = {};
  cublasLtHandle_t handle = nullptr;
  std::map<Shape, Plan> plans;

  const Plan& plan(const DenseProductArgs& args);
  Plan make_plan(const DenseProductArgs& args) const;
  void destroy(Plan& plan) const {
    check_cublas(functions.desc_destroy(plan.operation), "cublasLtMatmulDescDestroy");
    for (cublasLtMatrixLayout_t layout : {plan.weight, plan.x, plan.out}) {
      check_cublas(functions.layout_destroy(layout), "cublasLtMatrixLayoutDestroy");
    }
  }
};

// The library's matrices are column-major: ours [rows, columns] is its [columns, rows]. So out^T
// [outputs, rows] = (weight^T)^T * x^T.
Cublas::State::Plan Cublas::State::make_plan(const DenseProductArgs& args) const {
  const cudaDataType_t type = data_type(static_cast<DType>(args.type));
  const auto outputs = static_cast<uint64_t>(args.outputs);
  const auto inner = static_cast<uint64_t>(args.inner);
  const auto rows = static_cast<uint64_t>(args.rows);
  Plan plan;
  check_cublas(functions.desc_create(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check_cublas(functions.desc_set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                  sizeof(transposed)),
               "cublasLtMatmulDescSetAttribute");
  check_cublas(functions.layout_create(&plan.weight, type, inner, outputs, args.inner),
               "cublasLtMatrixLayoutCreate");
  check_cublas(functions.layout_create(&plan.x, type, inner, rows, args.inner),
               "cublasLtMatrixLayoutCreate");
  check_cublas(functions.layout_create(&plan.out, CUDA_R_32F, outputs, rows, args.out_stride),
               "cublasLtMatrixLayoutCreate");
  cublasLtMatmulPreference_t preference = nullptr;
  check_cublas(functions.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
  const size_t workspace = kCublasWorkspaceBytes;
  check_cublas(functions.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                        &workspace, sizeof(workspace)),
               "cublasLtMatmulPreferenceSetAttribute");
  cublasLtMatmulHeuristicResult_t best = {};
  int found = 0;
  check_cublas(functions.get_heuristic(handle, plan.operation, plan.weight, plan.x, plan.out,
                                       plan.out, preference, 1, &best, &found),
               "cublasLtMatmulAlgoGetHeuristic");
  OCTAVO_CHECK(found == 1, "cuBLASLt has no product of [{}, {}] and [{}, {}]", rows, inner, outputs,
               inner);
  check_cublas(functions.preference_destroy(preference), "cublasLtMatmulPreferenceDestroy");
  plan.algorithm = best.algo;
  return plan;
}

const Cublas::State::Plan& Cublas::State::plan(const DenseProductArgs& args) {
  // Prompts come in any length: a bound keeps the memory of a server's host from growing.
  constexpr size_t kMostPlans = 4096;
  const Shape shape{args.rows, args.outputs, args.inner, args.out_stride, args.type};
  if (const auto found = plans.find(shape); found != plans.end()) return found->second;
  if (plans.size() == kMostPlans) {
    for (auto& [_, plan] : plans) destroy(plan);
    plans.clear();
  }
  return plans.emplace(shape, make_plan(args)).first->second;
}

Cublas::Cublas() : state_(std::make_unique<State>()) {}

Cublas::~Cublas() {
  for (auto& [_, plan] : state_->plans) state_->destroy(plan);
  if (state_->handle != nullptr) check_cublas(state_->functions.destroy(state_->handle), "destroy");
  // The library stays loaded: it has threads and memory of its own, and is loaded once a process.
}

Result<std::unique_ptr<Cublas>> Cublas::load() {
  std::unique_ptr<Cublas> cublas(new Cublas);
  State& state = *cublas->state_;
  for (const char* name : kNames) {
    if (state.library == nullptr) state.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (state.library == nullptr) {
    return unsupported("CUDA: {} is not found, neither where libraries are searched for nor as {}",
                       kNames[0], kNames[1]);
  }
  const auto find = [&state](const char* name, auto& function) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(state.library, name));
    return function != nullptr;
  };
  Functions& f = state.functions;
  const bool complete = find("cublasLtCreate", f.create) && find("cublasLtDestroy", f.destroy) &&
                        find("cublasLtMatmul", f.matmul) &&
                        find("cublasLtMatmulDescCreate", f.desc_create) &&
                        find("cublasLtMatmulDescDestroy", f.desc_destroy) &&
                        find("cublasLtMatmulDescSetAttribute", f.desc_set) &&
                        find("cublasLtMatrixLayoutCreate", f.layout_create) &&
                        find("cublasLtMatrixLayoutDestroy", f.layout_destroy) &&
                        find("cublasLtMatmulPreferenceCreate", f.preference_create) &&
                        find("cublasLtMatmulPreferenceDestroy", f.preference_destroy) &&
                        find("cublasLtMatmulPreferenceSetAttribute", f.preference_set) &&
                        find("cublasLtMatmulAlgoGetHeuristic", f.get_heuristic);
  if (!complete) return unsupported("CUDA: {} lacks a function: {}", kNames[0], dlerror());
  const cublasStatus_t status = f.create(&state.handle);
  if (status != CUBLAS_STATUS_SUCCESS) {
    return resource_error("CUDA: cuBLASLt does not start: status {}", static_cast<int>(status));
  }
  return cublas;
}

void Cublas::multiply(const DenseProductArgs& args, cudaStream_t stream) const {
  const State::Plan& plan = state_->plan(args);
  const float one = 1.0F;
  const float zero = 0.0F;
  check_cublas(
      state_->functions.matmul(state_->handle, plan.operation, &one, args.weight, plan.weight,
                               args.x, plan.x, &zero, args.out, plan.out, args.out, plan.out,
                               &plan.algorithm, args.workspace, kCublasWorkspaceBytes, stream),
      "cublasLtMatmul");
}

void launch_dense_product(const DenseProductArgs& args, cudaStream_t stream) {
  args.library->multiply(args, stream);
}

}  // namespace octavo::cuda
