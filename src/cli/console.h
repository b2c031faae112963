// The interactive chat of `octavo run`: a prompt, commands, answers as they come.
//
// Owns the terminal and SIGINT while it runs; main thread only.
#pragma once

#include <string>

#include "cli/chat.h"
#include "cli/interrupt.h"
#include "octavo/engine.h"

namespace octavo::cli {

// "24 tokens · 31.0 tokens/s · first in 0.12 s · ...": the line under an answer; how many of the
// prompt's tokens were found in the cache is said as "reused 32 of 64 tokens".
std::string figures_line(const Answer& answer);

// Reads and answers until the user leaves; the result is the exit code.
int run_console(Engine& engine, ChatOptions options, Interrupt& interrupt);

}  // namespace octavo::cli
