// The flags of SamplingParams, one for each parameter in visit_sampling, and of BeamParams.
//
// The flags write into the parameters, which must stay where they are until they are parsed; what
// these hold before becomes the defaults that the help shows.
#pragma once

#include <CLI/App.hpp>
#include <optional>

#include "octavo/engine.h"

namespace octavo::cli {

void add_sampling_options(CLI::App& app, SamplingParams& params);

// --beam-width, which asks for a beam search, --length-penalty and --early-stopping.
void add_beam_options(CLI::App& app, std::optional<BeamParams>& beam);

}  // namespace octavo::cli
