// What the benchmarks of an engine in this process share: the engine with all that its figures are
// compared with, and a load of requests.
//
// One thread, which run_requests() blocks.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/device_probe.h"
#include "cli/load_client.h"
#include "cli/load_workload.h"
#include "cli/model_cost.h"
#include "octavo/config.h"
#include "octavo/engine.h"

namespace octavo::cli {

struct BenchSubject {
  ModelCost cost;
  DeviceProbe probe;
  std::unique_ptr<Engine> engine;

  // Model, device and what it attains.
  nlohmann::ordered_json to_json() const;
  std::string format() const;
};

// Probes the device, then starts the engine, with room for `requests` at once.
Result<BenchSubject> start_subject(EngineConfig config, int64_t requests);

// Submits all at once and waits for all answers; none ends before it has its tokens. Times of the
// plan do not matter.
std::vector<RequestRecord> run_requests(Engine& engine, const std::vector<PlannedRequest>& plan);

// The first failure among the records.
Result<void> check_all_answered(const std::vector<RequestRecord>& records);

}  // namespace octavo::cli
