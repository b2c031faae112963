// How answers are sent: errors and streams in OpenAI's form, any object. Coroutines of the
// exchange.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "octavo/result.h"
#include "server/exchange.h"
#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai/answer.h"

namespace octavo::server {

asio::awaitable<void> respond_error(Exchange& exchange, const Error& error);
// Where an answer was not finished. A client that went is told nothing: that was why.
asio::awaitable<void> respond_failure(Exchange& exchange, const Generation& generation);
asio::awaitable<void> respond_json(Exchange& exchange, const Json& json);
asio::awaitable<void> respond_text(Exchange& exchange, std::string json);

// A stream's head and what comes before anything of each output.
asio::awaitable<void> begin_answer(Exchange& exchange, Answer& answer, size_t choices);
// Its last events: the usage, where it was asked for, and [DONE].
asio::awaitable<void> end_answer(Exchange& exchange, const Answer& answer, const Usage& usage);

// A whole stream: the events of all requests, each of `outputs` outputs.
asio::awaitable<void> stream_answer(Exchange& exchange, Generation& generation, Answer& answer,
                                    size_t requests, size_t outputs);

// All outputs, by request; nothing when the client has gone or one of them has failed.
asio::awaitable<std::optional<std::vector<std::vector<Choice>>>> collect_choices(
    Generation& generation, size_t requests, size_t outputs);

}  // namespace octavo::server
