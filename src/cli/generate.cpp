#include "cli/generate.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/request_json.h"

namespace octavo::cli {
namespace {

using Json = nlohmann::ordered_json;

struct OutputText {
  std::string text;
  std::vector<TokenInfo> tokens;
  FinishReason finish = FinishReason::none;
  double score = 0.0;  // of a beam search
};

// A prompt that was handed to the engine: it answers with a stream or a refusal.
struct Pending {
  std::unique_ptr<Stream> stream;  // null: refused
  std::string refusal;
  size_t outputs = 1;
  bool with_logprobs = false;
  bool with_score = false;
};

Json to_json(const OutputText& output, bool with_logprobs, bool with_score) {
  Json json = {{"text", output.text},
               {"finish_reason", finish_reason_name(output.finish)},
               {"tokens", output.tokens.size()}};
  if (with_score) json["score"] = output.score;
  if (!with_logprobs) return json;
  Json list = Json::array();
  for (const TokenInfo& info : output.tokens) {
    Json top = Json::array();
    for (const TokenLogprob& other : info.top) {
      top.push_back({{"token", other.token}, {"logprob", other.logprob}});
    }
    list.push_back({{"token", info.token}, {"logprob", info.logprob}, {"top", std::move(top)}});
  }
  json["logprobs"] = std::move(list);
  return json;
}

class Job {
 public:
  Job(Engine& engine, const std::vector<Prompt>& prompts, const GenerateOptions& options,
      const Interrupt& interrupt, const WriteResult& write)
      : engine_(engine),
        prompts_(prompts),
        options_(options),
        interrupt_(interrupt),
        write_(write) {}

  Result<GenerateReport> run() {
    const OnInterrupt stop(interrupt_, [this] { cancel_all(); });
    bool is_cancelled = false;
    while (true) {
      submit_more();
      if (interrupt_.pending() && !is_cancelled) {
        cancel_all();  // what was submitted after the watcher had done so
        is_cancelled = true;
      }
      if (pending_.empty()) break;
      OCTAVO_TRY(finish_first());
    }
    return report_;
  }

 private:
  Result<Request> request_for(const Prompt& prompt) const {
    Request request;
    request.sampling = prompt.sampling;
    request.outputs = prompt.outputs;
    request.beam = prompt.beam;
    std::vector<ChatMessage> messages = prompt.messages;
    if (messages.empty() && options_.chat) messages.push_back({"user", prompt.text});
    if (messages.empty()) {
      OCTAVO_ASSIGN(request.prompt, engine_.tokenize(prompt.text, {}));
    } else {
      OCTAVO_ASSIGN(request.prompt, engine_.apply_chat_template(messages));
    }
    return request;
  }

  Result<std::unique_ptr<Stream>> submit(const Prompt& prompt) const {
    OCTAVO_ASSIGN(Request request, request_for(prompt));
    return engine_.submit(std::move(request));
  }

  // Keeps the engine supplied.
  void submit_more() {
    while (submitted_ < prompts_.size() && pending_.size() < options_.most_at_once &&
           !interrupt_.pending()) {
      const Prompt& prompt = prompts_[submitted_];
      Result<std::unique_ptr<Stream>> stream = submit(prompt);
      // A full queue has room again when those before have gone on.
      if (!stream && stream.error().kind == ErrorKind::resource && !pending_.empty()) return;
      Pending pending;
      if (stream) {
        pending.stream = std::move(stream).value();
      } else {
        pending.refusal = stream.error().message;
      }
      pending.outputs = static_cast<size_t>(prompt.outputs);
      pending.with_logprobs = prompt.sampling.logprobs >= 0;
      pending.with_score = prompt.beam.has_value();
      const std::lock_guard lock(mutex_);
      pending_.push_back(std::move(pending));
      submitted_ += 1;
    }
  }

  // Waits for the first prompt that is pending, and writes its result.
  Result<void> finish_first() {
    const Pending& first = pending_.front();  // only this thread takes it away
    Json line = {{"index", index_}};
    bool is_complete = true;
    if (first.stream == nullptr) {
      line["error"] = first.refusal;
    } else {
      is_complete = read_outputs(first, line);
    }
    if (!is_complete && !interrupt_.pending()) {
      return resource_error("the engine stopped in the middle of prompt {}", index_);
    }
    if (is_complete) {
      OCTAVO_TRY(write_(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
      report_.done += 1;
      if (line.contains("error")) report_.failed += 1;
    }
    index_ += 1;
    const std::lock_guard lock(mutex_);
    pending_.pop_front();
    return {};
  }

  // False: the engine stopped, or was told to.
  bool read_outputs(const Pending& pending, Json& line) {
    std::vector<OutputText> outputs(pending.outputs);
    while (auto event = pending.stream->next()) {
      OutputText& output = outputs[static_cast<size_t>(event->output)];
      output.text += event->text;
      output.tokens.insert(output.tokens.end(), std::make_move_iterator(event->tokens.begin()),
                           std::make_move_iterator(event->tokens.end()));
      output.finish = event->finish;
      output.score = event->score;
    }
    bool is_complete = true;
    bool has_memory = true;
    Json list = Json::array();
    for (const OutputText& output : outputs) {
      list.push_back(to_json(output, pending.with_logprobs, pending.with_score));
      report_.tokens += static_cast<int64_t>(output.tokens.size());
      is_complete = is_complete && output.finish != FinishReason::none &&
                    output.finish != FinishReason::cancelled;
      has_memory = has_memory && output.finish != FinishReason::no_memory;
    }
    line["outputs"] = std::move(list);
    if (!has_memory) line["error"] = kNoMemoryMessage;
    return is_complete;
  }

  void cancel_all() {
    const std::lock_guard lock(mutex_);
    for (const Pending& pending : pending_) {
      if (pending.stream != nullptr) pending.stream->cancel();
    }
  }

  Engine& engine_;
  const std::vector<Prompt>& prompts_;
  const GenerateOptions& options_;
  const Interrupt& interrupt_;
  const WriteResult& write_;

  GenerateReport report_;
  size_t submitted_ = 0;  // prompts
  size_t index_ = 0;      // of the first pending prompt
  std::mutex mutex_;      // guards what is in pending_: the watcher of Ctrl-C looks there too
  std::deque<Pending> pending_;  // in order
};

}  // namespace

Result<GenerateReport> generate(Engine& engine, const std::vector<Prompt>& prompts,
                                const GenerateOptions& options, const Interrupt& interrupt,
                                const WriteResult& write) {
  return Job(engine, prompts, options, interrupt, write).run();
}

}  // namespace octavo::cli
