// POST /tokenize, /detokenize and /apply-template, as vLLM's and llama.cpp's servers have them.
#pragma once

#include "server/exchange.h"
#include "server/service.h"

namespace octavo::server {

// {"prompt": text} or {"messages": [...]}, vLLM's, gives "tokens", "count" and "max_model_len";
// {"content": text}, llama.cpp's, gives "tokens", with "with_pieces" as {"id", "piece"} each. The
// two differ in whether special tokens are added without a word about it.
asio::awaitable<void> tokenize(const Service& service, Exchange& exchange);

// {"tokens": [...]} gives the text, as "prompt" and as "content".
asio::awaitable<void> detokenize(const Service& service, Exchange& exchange);

// {"messages": [...]} gives the text that the model would see, as "prompt".
asio::awaitable<void> apply_template(const Service& service, Exchange& exchange);

}  // namespace octavo::server
