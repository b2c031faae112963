// The engine: one GGUF model, many requests at once.
//
//   auto engine = octavo::Engine::create(config);   // loads the model and starts the loop thread
//   auto stream = (*engine)->submit(request);       // returns at once
//   while (auto event = (*stream)->next()) { }      // text, as it is generated
//
// Thread safety: every method of Engine may be called from any thread. A Stream belongs to one
// reader at a time. Ownership: a Stream stays valid after its Engine is gone (it then ends).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/cache_snapshot.h"
#include "octavo/config.h"
#include "octavo/result.h"
#include "octavo/sampling.h"

namespace octavo {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", or what the model's template knows
  std::string content;
};

// When a beam search is over, once it has as many finished texts as beams.
enum class EarlyStopping {
  no,     // when the best live beam would not be among them if it ended now
  yes,    // at once
  never,  // when no live beam can come among them at any length
};

// A search for the most probable texts, in place of sampling. As in Hugging Face transformers, a
// text's score is the sum of its tokens' log probabilities / length ^ length_penalty, where the
// length counts the generated tokens.
struct BeamParams {
  int32_t width = 4;            // beams, 1 to 16
  float length_penalty = 1.0F;  // above 0 long texts gain by it; -100 to 100
  EarlyStopping early_stopping = EarlyStopping::no;
};

struct Request {
  std::vector<int32_t>
      prompt;  // token ids; Engine::tokenize and Engine::apply_chat_template make them
  SamplingParams sampling;
  int32_t outputs = 1;   // independent continuations of the one prompt, 1 to 128
  int32_t priority = 0;  // lower is served first; equal priorities first come, first served
  // Only requests with equal salts find each other's cached prefixes; at most 256 bytes.
  std::string cache_salt;
  // When room is needed, cached blocks of a lower priority are dropped first: from 0, dropped
  // before all others, to 3. 1 is usual.
  int32_t cache_priority = 1;
  // A cache_priority above 1 holds for this long after the last use; 0: for good. At most 10 years.
  int64_t cache_ttl_seconds = 0;
  // Outputs are the best texts of the search, the best first, each in one event when it is over.
  // The parameters of drawing (temperature, top_k, top_p, min_p, typical_p, seed) do not matter;
  // stop strings, penalties and logit_bias are refused.
  std::optional<BeamParams> beam;
  // Log probabilities of the prompt's own tokens (all but the first); nothing is generated, and no
  // cached prefix is used.
  bool score_prompt = false;
  // The prompt's embedding; nothing is generated. The model's pooling says what it is made of; for
  // a mean of all positions no cached prefix is used.
  bool embed = false;
};

enum class FinishReason {
  none,       // not finished
  stop,       // an end-of-generation token, a stop token or a stop string; an embedding is there
  length,     // max_tokens or the context's end
  cancelled,  // by its Stream, or because the engine went down
  no_memory,  // others took the memory that its keys and values needed
};

// One generated token with its log probabilities, when the request asked for them.
struct TokenInfo {
  int32_t token = 0;
  float logprob = 0.0F;
  std::vector<TokenLogprob> top;
};

// How a request's prompt was served.
struct PromptReport {
  int32_t cached_tokens = 0;    // of the prompt: their K and V were found, not computed
  double queued_seconds = 0.0;  // from submit() until the first step with the prompt was launched
};

// What is new in one output since the last event of that output. A slow reader gets fewer, longer
// ones.
struct Event {
  int32_t output = 0;             // 0 to outputs - 1
  std::string text;               // whole UTF-8 characters
  std::vector<TokenInfo> tokens;  // the tokens generated; for score_prompt, the prompt's own
  FinishReason finish = FinishReason::none;  // other than none: the last event of this output
  double score = 0.0;                        // of a text that a beam search found
  std::vector<float> embedding;  // [ModelInfo::embedding_size], not normalised; then the only event
  std::optional<PromptReport> prompt;  // in the request's first event
};

class Stream {
 public:
  virtual ~Stream() = default;  // cancels what still runs
  // Waits for the next event; nothing when every output has finished.
  virtual std::optional<Event> next() = 0;
  // The same without waiting: nothing, too, when there is no event yet.
  virtual std::optional<Event> try_next() = 0;
  // Every output has finished and its last event was read.
  virtual bool finished() const = 0;
  // From now on `call` is called when an event comes and no other is unread; at once, if some are
  // unread now. The engine's thread calls it: it must not take long nor use the Stream. The
  // Stream's destructor waits for a call in progress; there is none after it.
  virtual void on_event(std::function<void()> call) = 0;
  // Stops the request within a step; its outputs end with FinishReason::cancelled. May be called
  // from any thread, any number of times.
  virtual void cancel() = 0;
};

// What an embedding is made of: final hidden states, normed as for the output matrix.
enum class Pooling {
  mean,  // of all positions
  last,  // of the last position, which alone has seen all of the text
  cls,   // of the first position: not supported, for encoders
  rank,  // a score in place of an embedding: not supported, for rerankers
};

struct ModelInfo {
  std::string path;
  std::string name;  // general.name, or the file's name
  std::string architecture;
  std::string backend;  // for people: "cpu (avx512, 2 threads)"
  int32_t vocabulary = 0;
  int32_t context_length = 0;       // the limit in force: prompt and generated tokens together
  std::string chat_template;        // its source; empty: it has none, and ChatML is used
  bool adds_bos = false;            // Engine::tokenize puts `bos` first
  int32_t bos = -1;                 // -1: the vocabulary has none
  int32_t embedding_size = 0;       // the length of a hidden state
  Pooling pooling = Pooling::last;  // as the file says; last where it says nothing
};

// A snapshot of what the engine is doing.
struct EngineStats {
  int64_t waiting = 0;      // requests that have not started
  int64_t running = 0;      // sequences in the batch
  int64_t max_running = 0;  // as many may be
  int64_t preempted = 0;    // sequences that lost their blocks and wait to go on

  // The pool: uncommitted + free + cached + in use = total.
  int64_t blocks_total = 0;
  int64_t blocks_in_use = 0;
  int64_t blocks_shared = 0;  // of those in use, by two sequences or more
  int64_t blocks_cached = 0;
  int64_t blocks_free = 0;
  int64_t blocks_uncommitted = 0;  // not backed by memory
  int64_t block_bytes = 0;
  int64_t host_blocks_total = 0;  // slots of the host tier
  int64_t host_blocks_used = 0;
  int64_t disk_blocks = 0;  // in the disk tier's file

  // Counted since the start.
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // of prompts computed
  int64_t generated_tokens = 0;
  int64_t prefix_query_tokens = 0;  // looked up in the cache when a sequence is admitted
  int64_t prefix_hit_tokens = 0;    // of those, found
  int64_t preemptions = 0;
  int64_t swap_preemptions = 0;    // of those, with the blocks kept for the host tier
  int64_t evictions = 0;           // cached blocks that were taken for something else
  int64_t block_copies = 0;        // because a shared block was to be written
  int64_t blocks_swapped_out = 0;  // to the host tier
  int64_t blocks_swapped_in = 0;
  int64_t disk_blocks_read = 0;
  int64_t disk_blocks_stored = 0;
};

struct TokenizeOptions {
  bool add_special = true;     // BOS and EOS as the model's metadata say
  bool parse_special = false;  // special tokens written out in the text become single ids
};

struct ChatTemplateOptions {
  bool add_generation_prompt = true;  // end with the beginning of the assistant's answer
  // Further variables of the template, as a JSON object; empty: none.
  std::string variables;
};

class Engine {
 public:
  // Loads the model and starts the loop thread. Errors are one line that names the file or field.
  static Result<std::unique_ptr<Engine>> create(const EngineConfig& config);
  virtual ~Engine() = default;  // cancels what runs and joins the loop thread

  // Refuses with invalid_input (a bad parameter, ids outside the vocabulary), unsupported (more
  // tokens than the context has room for) or resource (the queue is full); otherwise it runs.
  virtual Result<std::unique_ptr<Stream>> submit(Request request) = 0;

  // The tokens of a text of any bytes, at most 1 GiB; longer: invalid_input.
  virtual Result<std::vector<int32_t>> tokenize(std::string_view text,
                                                const TokenizeOptions& options) const = 0;
  // The text of tokens, special ones left out; an id outside the vocabulary: invalid_input.
  virtual Result<std::string> detokenize(const std::vector<int32_t>& tokens) const = 0;
  // What one token stands for: bytes that need not be whole characters, or a special token's name.
  // Empty for an id outside the vocabulary.
  virtual std::string token_bytes(int32_t token) const = 0;
  // A conversation as text, by the model's own template (ChatML when it has none), and as tokens.
  virtual Result<std::string> render_chat_template(const std::vector<ChatMessage>& messages,
                                                   const ChatTemplateOptions& options) const = 0;
  virtual Result<std::vector<int32_t>> apply_chat_template(
      const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options = {}) const = 0;

  virtual const ModelInfo& model() const = 0;
  virtual EngineStats stats() const = 0;
  // Waits until the engine is between two steps.
  virtual CacheSnapshot cache_snapshot() const = 0;
};

}  // namespace octavo
