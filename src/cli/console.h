// The interactive chat of `octavo run`: a prompt, commands, answers as they come.
//
// Owns the terminal and SIGINT while it runs; main thread only.
#pragma once

#include <string>

#include "cli/chat.h"
#include "cli/interrupt.h"
#include "octavo/engine.h"

namespace octavo::cli {

// "24 tokens, 31.0 tokens/s, first after 0.12 s, ...": the line under an answer.
std::string figures_line(const Answer& answer);

// Reads and answers until the user leaves; the result is the exit code.
int run_console(Engine& engine, ChatOptions options, Interrupt& interrupt);

}  // namespace octavo::cli
