// The flags of SamplingParams, one for each parameter in visit_sampling.
//
// The flags write into the parameters, which must stay where they are until they are parsed; what
// these hold before becomes the defaults that the help shows.
#pragma once

#include <CLI/App.hpp>

#include "octavo/sampling.h"

namespace octavo::cli {

void add_sampling_options(CLI::App& app, SamplingParams& params);

}  // namespace octavo::cli
