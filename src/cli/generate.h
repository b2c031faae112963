// Runs many prompts through an engine at once and writes the results in the order of the prompts.
//
// Each result is one JSON line, written out as soon as it and all before it are complete:
//   {"index":0,"outputs":[{"text":"...","finish_reason":"stop","tokens":12}]}
//   {"index":1,"error":"..."}                     where the engine refused the prompt
// Where memory ran out in the middle, both are there.
// An output of a beam search has its "score" too. With logprobs an output has "logprobs" too:
// [{"token":1,"logprob":-0.5,"top":[...]}, ...]. Main thread, beside that of OnInterrupt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "cli/prompts_file.h"
#include "octavo/engine.h"

namespace octavo::cli {

struct GenerateOptions {
  bool chat = false;          // a text is a user's message, not the beginning of a text
  size_t most_at_once = 256;  // prompts handed to the engine at a time
};

struct GenerateReport {
  int64_t done = 0;    // prompts answered or refused
  int64_t failed = 0;  // of them, with an error
  int64_t tokens = 0;  // generated
};

// Takes a result, a line with its newline, to where results go.
using WriteResult = std::function<Result<void>(const std::string&)>;

// A pending interrupt stops it: what is complete is still written. The error is one of `write`, or
// the engine went down.
Result<GenerateReport> generate(Engine& engine, const std::vector<Prompt>& prompts,
                                const GenerateOptions& options, const Interrupt& interrupt,
                                const WriteResult& write);

}  // namespace octavo::cli
