#include "server/openai/embeddings_request.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "base/error.h"
#include "server/openai/common_request.h"
#include "server/openai/completion_request.h"

namespace octavo::server {
namespace {

// Of an answer: as JSON a number takes up to 24 bytes.
constexpr size_t kMostNumbers = size_t{4} << 20;

// What OpenAI, vLLM and llama.cpp know and we do not yet, where it would change the answer.
Result<void> refuse_what_is_not_there(Fields& fields, int32_t embedding_size) {
  OCTAVO_TRY(fields.refuse("messages"));
  OCTAVO_TRY(fields.refuse("truncate_prompt_tokens"));
  OCTAVO_TRY(fields.refuse("dimensions", {embedding_size}));
  OCTAVO_TRY(fields.refuse("normalize", {true}));
  OCTAVO_TRY(fields.refuse("embd_normalize", {2}));  // by the Euclidean norm
  OCTAVO_TRY(fields.refuse("embed_dtype", {"float32"}));
  return fields.refuse("endianness", {"little", "native"});
}

Result<bool> read_base64(Fields& fields) {
  OCTAVO_ASSIGN(const std::string format, fields.text("encoding_format", "float"));
  if (format == "base64") return true;
  if (format == "float") return false;
  return invalid_input("encoding_format: '{}' is not float or base64", printable(format));
}

// What the engine would say too, without the input's index, or not at all: an empty text has a BOS
// where the model wants one, and the BOS an embedding, which is nobody's wish.
Result<void> check_inputs(const Json& input, const TokenLists& lists, const ModelInfo& model) {
  const bool is_one = input.is_string() || input.front().is_number();
  for (size_t i = 0; i < lists.tokens.size(); ++i) {
    const std::string field = is_one ? "input" : fmt::format("input[{}]", i);
    const size_t length = lists.tokens[i].size();
    if (length == 0 || (is_one ? input : input[i]) == "") {
      return invalid_input("{}: it is empty", field);
    }
    if (length > static_cast<size_t>(model.context_length)) {
      return unsupported("{}: {} tokens are more than the context of {}", field, length,
                         model.context_length);
    }
  }
  const auto size = static_cast<size_t>(model.embedding_size);
  if (lists.tokens.size() * size > kMostNumbers) {
    return invalid_input("input: {} embeddings of {} numbers each are more than {} numbers",
                         lists.tokens.size(), size, kMostNumbers);
  }
  return {};
}

}  // namespace

Result<EmbeddingsRequest> read_embeddings_request(Fields& fields, std::string_view model,
                                                  const Engine& engine) {
  OCTAVO_TRY(check_model(fields, model));
  OCTAVO_TRY(refuse_what_is_not_there(fields, engine.model().embedding_size));
  EmbeddingsRequest result;
  OCTAVO_ASSIGN(result.base64, read_base64(fields));
  Request request;
  request.embed = true;
  OCTAVO_ASSIGN(request.cache_salt, fields.text("cache_salt", ""));
  OCTAVO_ASSIGN(const int64_t priority, fields.integer("priority", INT32_MIN, INT32_MAX, 0));
  request.priority = static_cast<int32_t>(priority);
  fields.find("user");  // names the person to the provider; there is none here
  OCTAVO_ASSIGN(TokenLists lists, read_token_lists(fields, "input", engine));
  OCTAVO_TRY(check_inputs(*fields.find("input"), lists, engine.model()));
  for (std::vector<int32_t>& tokens : lists.tokens) {
    request.prompt = std::move(tokens);
    result.requests.push_back(request);
  }
  result.unknown = fields.unknown();
  return result;
}

}  // namespace octavo::server
