// The public Engine over the loop thread: checks what comes in, hands it on, answers what needs no
// step.
#include "octavo/engine.h"

#include <atomic>
#include <ctime>
#include <string>
#include <system_error>

#include "base/error.h"
#include "engine/engine_loop.h"
#include "engine/loaded_model.h"
#include "engine/request_check.h"
#include "engine/start_engine.h"

namespace octavo {
namespace {

// A scored prompt and a mean need the output of every position, so they must not find any of them
// in the cache: a key of its own, which no salt can be, keeps such a request apart.
std::string extra_key_of(const Request& request, Pooling pooling, uint64_t key) {
  const bool needs_all = request.score_prompt || (request.embed && pooling == Pooling::mean);
  if (needs_all) return kOwnKey + std::to_string(key);
  return request.cache_salt.empty() ? std::string() : "salt " + request.cache_salt;
}

class EngineImpl final : public Engine {
 public:
  EngineImpl(LoadedModel model, const EngineConfig& config)
      : model_(std::move(model)),
        config_(config),
        mailbox_(std::make_shared<Mailbox>()),
        loop_(model_, config, mailbox_) {}

  Result<std::unique_ptr<Stream>> submit(Request request) override {
    OCTAVO_TRY(check_request(request, model_.info));
    OCTAVO_TRY(check_parallel(request, config_));
    OCTAVO_ASSIGN(OutputRules rules, make_rules(request, model_.info, *model_.tokenizer));
    RequestSpec spec;
    spec.max_new_tokens = rules.params.max_tokens;
    spec.outputs = request.beam ? 1 : request.outputs;
    spec.beam_width = request.beam ? request.beam->width : 0;
    spec.prompt = std::move(request.prompt);
    OCTAVO_TRY(loop_.check_fits(spec));

    Submission submission;
    submission.key = next_key_.fetch_add(1);
    submission.prompt = std::move(spec.prompt);
    submission.outputs = request.outputs;
    submission.priority = request.priority;
    submission.score_prompt = request.score_prompt;
    submission.embed = request.embed;
    submission.extra_key = extra_key_of(request, model_.info.pooling, submission.key);
    submission.retention = {.priority = request.cache_priority,
                            .ttl_ms = request.cache_ttl_seconds * 1000};
    submission.rules = std::make_shared<const OutputRules>(std::move(rules));
    submission.channel = std::make_shared<RequestChannel>(request.outputs);
    auto stream = std::make_unique<RequestStream>(submission.key, submission.channel, mailbox_);
    if (!mailbox_->submit(std::move(submission), config_.max_queued)) {
      return resource_error("the queue is full: {} requests wait", config_.max_queued);
    }
    return std::unique_ptr<Stream>(std::move(stream));
  }

  Result<std::vector<int32_t>> tokenize(std::string_view text,
                                        const TokenizeOptions& options) const override {
    if (text.size() > text::Tokenizer::max_text_bytes) {
      return invalid_input("text: {} bytes are more than {}", text.size(),
                           text::Tokenizer::max_text_bytes);
    }
    return model_.tokenizer->encode(
        text, {.add_special = options.add_special, .parse_special = options.parse_special});
  }

  Result<std::string> detokenize(const std::vector<int32_t>& tokens) const override {
    for (const int32_t token : tokens) {
      if (token < 0 || token >= model_.tokenizer->vocabulary_size()) {
        return invalid_input("tokens: {} is not a token id of a vocabulary of {}", token,
                             model_.tokenizer->vocabulary_size());
      }
    }
    return model_.tokenizer->decode(tokens);
  }

  std::string token_bytes(int32_t token) const override {
    if (token < 0 || token >= model_.tokenizer->vocabulary_size()) return {};
    return std::string(model_.tokenizer->piece(token));
  }

  Result<std::string> render_chat_template(const std::vector<ChatMessage>& messages,
                                           const ChatTemplateOptions& options) const override {
    text::ChatTemplateInput input;
    input.messages = nlohmann::ordered_json::array();
    for (const ChatMessage& message : messages) {
      input.messages.push_back({{"role", message.role}, {"content", message.content}});
    }
    input.add_generation_prompt = options.add_generation_prompt;
    if (!options.variables.empty()) {
      input.extra = nlohmann::ordered_json::parse(options.variables, nullptr, false);
      if (!input.extra.is_object()) {
        return invalid_input("chat template variables: they are not a JSON object");
      }
    }
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &input.date);
    input.bos_token = text_of(model_.tokenizer->bos());
    input.eos_token = text_of(model_.tokenizer->eos());
    Result<std::string> rendered = model_.chat_template.render(input);
    // What a template refuses, or has no end for, is the conversation's fault. Where the model lies
    // is no business of who sent it.
    if (!rendered) return Error{ErrorKind::invalid_input, rendered.error().message};
    return rendered;
  }

  Result<std::vector<int32_t>> apply_chat_template(
      const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options) const override {
    OCTAVO_ASSIGN(const std::string prompt, render_chat_template(messages, options));
    // Most templates write BOS themselves; adding it again would change the model's answer.
    const std::string bos = text_of(model_.tokenizer->bos());
    const bool has_bos = !bos.empty() && prompt.starts_with(bos);
    return model_.tokenizer->encode(prompt, {.add_special = !has_bos, .parse_special = true});
  }

  const ModelInfo& model() const override { return model_.info; }
  EngineStats stats() const override { return loop_.stats(); }
  CacheSnapshot cache_snapshot() const override { return mailbox_->ask_for_snapshot().get(); }

 private:
  std::string text_of(std::optional<int32_t> token) const {
    return token ? std::string(model_.tokenizer->token_text(*token)) : std::string();
  }

  LoadedModel model_;
  const EngineConfig config_;
  std::shared_ptr<Mailbox> mailbox_;
  std::atomic<uint64_t> next_key_{1};
  EngineLoop loop_;  // last: its thread uses everything above
};

}  // namespace

std::unique_ptr<Engine> start_engine(LoadedModel model, const EngineConfig& config) {
  return std::make_unique<EngineImpl>(std::move(model), config);
}

Result<std::unique_ptr<Engine>> Engine::create(const EngineConfig& config) {
  try {
    OCTAVO_ASSIGN(LoadedModel model, load_model(config));
    return start_engine(std::move(model), config);
  } catch (const std::system_error& error) {  // the system gives no more threads
    return resource_error("threads: {}", error.what());
  }
}

}  // namespace octavo
