// The comparisons that `octavo simulate` makes: the same requests served several ways, in a table
// and in charts.
//
// Functions without state; equal settings give equal reports.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octavo/result.h"
#include "simulate/chart.h"
#include "simulate/machine.h"
#include "simulate/table.h"
#include "simulate/workload.h"

namespace octavo::simulate {

struct Setting {
  Machine machine;
  Workload workload;
  int32_t block_size = 16;
  bool prefix_cache = true;
  uint64_t seed = 0;  // of which beams survive
};

struct Report {
  std::string title;
  std::string workload;  // the requests, in a line
  std::string machine;   // the memory, in a line
  Table table;
  std::vector<Chart> charts;
  std::vector<std::string> notes;  // what the numbers are; a sentence or more each
  int64_t sequence_steps = 0;
};

// Reservations to the longest, to a power of two and to the true length, and blocks.
Report compare_policies(const Setting& setting);
// Blocks of 1 to 256 tokens.
Report compare_block_sizes(const Setting& setting);
// 2, 4 and 6 outputs of each request, and as many beams.
Report compare_sharing(const Setting& setting);
// How much of the prompts is found in the cache, for memories from a 32nd of the machine's to all
// of it, without the host's memory and, if there is some, with it. invalid_input: the workload does
// not say which prompts begin alike.
Result<Report> compare_pool_sizes(const Setting& setting);

}  // namespace octavo::simulate
