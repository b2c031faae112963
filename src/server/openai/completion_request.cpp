#include "server/openai/completion_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace octavo::server {
namespace {

constexpr size_t kMostPrompts = 1024;
constexpr int64_t kMostOutputs = 128;
constexpr int64_t kMostTotalOutputs = 1024;  // of all prompts
constexpr size_t kMostEchoBytes = size_t{64} << 20;

Result<void> add_text(const Json& text, const std::string& where, const Engine& engine,
                      bool add_special, TokenLists& lists) {
  if (!text.is_string()) return invalid_input("{}: a string expected", where);
  const auto& bytes = text.get_ref<const std::string&>();
  OCTAVO_ASSIGN(std::vector<int32_t> ids, engine.tokenize(bytes, {.add_special = add_special}));
  lists.tokens.push_back(std::move(ids));
  lists.texts.push_back(bytes);
  return {};
}

Result<void> add_ids(const Json& list, const std::string& where, const Engine& engine,
                     TokenLists& lists) {
  OCTAVO_ASSIGN(std::vector<int32_t> ids, read_token_ids(list, where));
  const Result<std::string> text = engine.detokenize(ids);
  if (!text) return rename_field(text.error(), "tokens", where);
  lists.tokens.push_back(std::move(ids));
  lists.texts.push_back(*text);
  return {};
}

Result<void> read_limits(Fields& fields, CompletionRequest& completion) {
  SamplingParams& sampling = completion.common.request.sampling;
  OCTAVO_ASSIGN(const int64_t tokens, fields.integer("max_tokens", 0, INT32_MAX, 16));
  completion.generate = tokens > 0;
  sampling.max_tokens = static_cast<int32_t>(std::max<int64_t>(tokens, 1));
  OCTAVO_ASSIGN(const int64_t logprobs, fields.integer("logprobs", 0, 100, -1));
  completion.logprobs = static_cast<int32_t>(logprobs);
  sampling.logprobs = completion.logprobs;
  return {};
}

Result<void> read_best_of(Fields& fields, CompletionRequest& completion) {
  Request& request = completion.common.request;
  completion.outputs = request.outputs;
  OCTAVO_ASSIGN(const int64_t best_of, fields.integer("best_of", 1, kMostOutputs, request.outputs));
  if (best_of < request.outputs) {
    return invalid_input("best_of: {} is less than n, {}", best_of, request.outputs);
  }
  if (best_of > request.outputs && completion.common.stream) {
    return invalid_input("best_of: the best are known at the end only: not with stream");
  }
  if (best_of > request.outputs && request.beam) {
    return invalid_input("best_of: not with a beam search");
  }
  request.outputs = static_cast<int32_t>(best_of);
  // The best are those of the highest log probabilities.
  if (best_of > completion.outputs) {
    request.sampling.logprobs = std::max(request.sampling.logprobs, 0);
  }
  return {};
}

// That the answer has a size: what the engine does not see, or sees one prompt at a time.
Result<void> check_size(const CompletionRequest& completion, int32_t context_length) {
  const int64_t outputs = completion.common.request.outputs;
  const auto prompts = static_cast<int64_t>(completion.prompts.size());
  if (prompts * outputs > kMostTotalOutputs) {
    return invalid_input("prompt: {} prompts with {} outputs each are more than {}", prompts,
                         outputs, kMostTotalOutputs);
  }
  const SamplingParams& sampling = completion.common.request.sampling;
  int64_t tokens = prompts * outputs * sampling.max_tokens;
  size_t echo_bytes = 0;
  if (completion.echo) {
    for (size_t i = 0; i < completion.prompts.size(); ++i) {
      const size_t length = completion.prompts[i].size();
      if (length == 0) return invalid_input("prompt: it has no tokens");
      if (length > static_cast<size_t>(context_length)) {
        return invalid_input("prompt: {} tokens are more than the context of {}", length,
                             context_length);
      }
      tokens += static_cast<int64_t>(length) * completion.outputs;
      echo_bytes += completion.prompt_texts[i].size() * static_cast<size_t>(completion.outputs);
    }
  }
  if (echo_bytes > kMostEchoBytes) {
    return invalid_input("echo: {} bytes are more than {}", echo_bytes, kMostEchoBytes);
  }
  return check_logprobs(tokens, sampling.logprobs);
}

}  // namespace

Result<std::vector<int32_t>> read_token_ids(const Json& list, const std::string& field) {
  if (!list.is_array()) return invalid_input("{}: a list of token ids expected", field);
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& id : list) {
    const bool fits = id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
    if (!fits) return invalid_input("{}: {} is not a token id", field, printable(dump(id)));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

Result<TokenLists> read_token_lists(Fields& fields, std::string_view name, const Engine& engine) {
  const Json* value = fields.find(name);
  const std::string field(name);
  TokenLists lists;
  OCTAVO_ASSIGN(const bool add_special, fields.flag("add_special_tokens", true));
  if (value == nullptr) return invalid_input("{}: it is missing", field);
  if (value->is_string()) {
    OCTAVO_TRY(add_text(*value, field, engine, add_special, lists));
    return lists;
  }
  if (!value->is_array() || value->empty()) {
    return invalid_input("{}: a string, a list of strings or token ids expected", field);
  }
  if (value->front().is_number()) {
    OCTAVO_TRY(add_ids(*value, field, engine, lists));
    return lists;
  }
  if (value->size() > kMostPrompts) {
    return invalid_input("{}: {} are more than {}", field, value->size(), kMostPrompts);
  }
  for (size_t i = 0; i < value->size(); ++i) {
    const Json& element = (*value)[i];
    const std::string where = fmt::format("{}[{}]", field, i);
    OCTAVO_TRY(element.is_array() ? add_ids(element, where, engine, lists)
                                  : add_text(element, where, engine, add_special, lists));
  }
  return lists;
}

Result<CompletionRequest> read_completion_request(Fields& fields, std::string_view model,
                                                  const Engine& engine) {
  CompletionRequest completion;
  OCTAVO_ASSIGN(completion.common, read_common(fields, model));
  OCTAVO_TRY(fields.refuse("suffix"));
  OCTAVO_TRY(read_limits(fields, completion));
  OCTAVO_TRY(read_best_of(fields, completion));
  OCTAVO_ASSIGN(completion.echo, fields.flag("echo", false));
  if (!completion.generate && !completion.echo) {
    return invalid_input("max_tokens: 0 is of use with echo only");
  }
  OCTAVO_ASSIGN(TokenLists lists, read_token_lists(fields, "prompt", engine));
  completion.prompts = std::move(lists.tokens);
  if (completion.echo) completion.prompt_texts = std::move(lists.texts);
  OCTAVO_TRY(check_size(completion, engine.model().context_length));
  for (const std::string& name : fields.unknown()) completion.common.unknown.push_back(name);
  return completion;
}

}  // namespace octavo::server
