// Each field of OpenAI's bodies, and those of its neighbours: what it asks of the engine, or that
// it is refused.
#include "server/api_test.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"

namespace octavo::server {
namespace {

constexpr const char* kTemplate = "{{ messages }}";

Result<ChatRequest> read_chat(const Json& more) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  body.update(more);
  Fields fields(body);
  return read_chat_request(fields, "demo", kTemplate);
}

CommonRequest common(const Json& more) {
  const Result<ChatRequest> chat = read_chat(more);
  if (!chat) {
    ADD_FAILURE() << more << ": " << chat.error().message;
    return {};
  }
  return chat->common;
}
SamplingParams sampling(const Json& more) {
  return common(more).request.sampling;
}
std::string error(const Json& more) {
  const Result<ChatRequest> chat = read_chat(more);
  return chat ? "accepted" : chat.error().message;
}

TEST(OpenAiFields, WhatIsNotGivenIsAsOpenAiHasIt) {
  const CommonRequest request = common(Json::object());
  EXPECT_EQ(request.request.outputs, 1);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.include_usage);
  const SamplingParams& params = request.request.sampling;
  EXPECT_EQ(params.temperature, 1.0F);
  EXPECT_EQ(params.top_p, 1.0F);
  EXPECT_EQ(params.top_k, 0);
  EXPECT_EQ(params.max_tokens, 0) << "up to the context's end";
  EXPECT_EQ(params.logprobs, -1);
  EXPECT_FALSE(params.seed);
  EXPECT_FALSE(request.request.beam);
}

TEST(OpenAiFields, NullIsAsIfItWereNotGiven) {
  Json nulls = Json::object();
  for (const char* name : {"model",
                           "n",
                           "stream",
                           "stream_options",
                           "temperature",
                           "top_p",
                           "stop",
                           "seed",
                           "tools",
                           "tool_choice",
                           "response_format",
                           "logprobs",
                           "top_logprobs",
                           "logit_bias",
                           "max_tokens",
                           "max_completion_tokens",
                           "presence_penalty",
                           "user",
                           "top_k",
                           "cache_salt",
                           "priority"}) {
    nulls[name] = nullptr;
  }
  EXPECT_EQ(error(nulls), "accepted");
}

TEST(OpenAiFields, SamplingFieldsReachTheEngine) {
  EXPECT_EQ(sampling({{"temperature", 0.5}}).temperature, 0.5F);
  EXPECT_EQ(sampling({{"top_p", 0.5}}).top_p, 0.5F);
  EXPECT_EQ(sampling({{"top_k", 5}}).top_k, 5);
  EXPECT_EQ(sampling({{"top_k", -1}}).top_k, 0) << "vLLM's word for all";
  EXPECT_EQ(sampling({{"min_p", 0.25}}).min_p, 0.25F);
  EXPECT_EQ(sampling({{"typical_p", 0.5}}).typical_p, 0.5F);
  EXPECT_EQ(sampling({{"repetition_penalty", 1.5}}).repetition_penalty, 1.5F);
  EXPECT_EQ(sampling({{"repeat_penalty", 1.5}}).repetition_penalty, 1.5F);
  EXPECT_EQ(sampling({{"frequency_penalty", -1}}).frequency_penalty, -1.0F);
  EXPECT_EQ(sampling({{"presence_penalty", 1}}).presence_penalty, 1.0F);
  EXPECT_EQ(sampling({{"seed", 9}}).seed, 9u);
  EXPECT_EQ(sampling({{"seed", -1}}).seed, UINT64_MAX);
  EXPECT_EQ(sampling({{"max_tokens", 5}}).max_tokens, 5);
  EXPECT_EQ(sampling({{"max_tokens", 5}, {"max_completion_tokens", 6}}).max_tokens, 6);
  EXPECT_EQ(sampling({{"min_tokens", 3}}).min_tokens, 3);
  EXPECT_TRUE(sampling({{"ignore_eos", true}}).ignore_eos);
  EXPECT_EQ(sampling({{"stop", "a"}}).stop, (std::vector<std::string>{"a"}));
  EXPECT_EQ(sampling({{"stop", {"a", "b"}}}).stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sampling({{"stop_token_ids", {1, 2}}}).stop_token_ids, (std::vector<int32_t>{1, 2}));
  const SamplingParams biased = sampling({{"logit_bias", {{"5", -100}}}});
  ASSERT_EQ(biased.logit_bias.size(), 1u);
  EXPECT_EQ(biased.logit_bias[0].token, 5);
  EXPECT_EQ(biased.logit_bias[0].bias, -100.0F);
  EXPECT_EQ(sampling({{"logprobs", true}}).logprobs, 0);
  EXPECT_EQ(sampling({{"logprobs", true}, {"top_logprobs", 4}}).logprobs, 4);
}

TEST(OpenAiFields, TheRestReachesTheEngineToo) {
  EXPECT_EQ(common({{"n", 3}}).request.outputs, 3);
  EXPECT_EQ(common({{"priority", -2}}).request.priority, -2);
  EXPECT_EQ(common({{"cache_salt", "s"}}).request.cache_salt, "s");
  EXPECT_EQ(common({{"cache_priority", 3}}).request.cache_priority, 3);
  EXPECT_EQ(common({{"cache_ttl_seconds", 60}}).request.cache_ttl_seconds, 60);
  EXPECT_EQ(common({{"use_beam_search", true}, {"n", 3}}).request.beam->width, 3);
  const CommonRequest beam =
      common({{"beam_width", 4}, {"length_penalty", 0.5}, {"early_stopping", "never"}, {"n", 2}});
  EXPECT_EQ(beam.request.beam->width, 4);
  EXPECT_EQ(beam.request.beam->length_penalty, 0.5F);
  EXPECT_EQ(beam.request.beam->early_stopping, EarlyStopping::never);
  EXPECT_TRUE(common({{"stream", true}}).stream);
  EXPECT_FALSE(common({{"stream", true}}).include_usage);
  EXPECT_TRUE(
      common({{"stream", true}, {"stream_options", {{"include_usage", true}}}}).include_usage);
  EXPECT_EQ(common({{"model", "demo"}, {"store", true}, {"user", "u"}}).unknown,
            (std::vector<std::string>{"store"}));
}

TEST(OpenAiFields, TheTemplateGetsItsVariables) {
  const auto variables = [](const Json& more) {
    return read_chat(more)->conversation.options.variables;
  };
  EXPECT_EQ(variables(Json::object()), "");
  EXPECT_EQ(variables({{"chat_template_kwargs", {{"enable_thinking", false}}}}),
            R"({"enable_thinking":false})");
  EXPECT_EQ(variables({{"reasoning_effort", "low"}}), R"({"reasoning_effort":"low"})");
  EXPECT_FALSE(
      read_chat({{"add_generation_prompt", false}})->conversation.options.add_generation_prompt);
}

TEST(OpenAiFields, ATemplateThatKnowsTheDeveloperGetsIt) {
  const Json body = {{"messages", {{{"role", "developer"}, {"content", "Be kind."}}}}};
  Fields one(body);
  EXPECT_EQ(read_conversation(one, "{{ messages }}")->messages[0].role, "system");
  Fields other(body);
  EXPECT_EQ(read_conversation(other, "role == 'developer'")->messages[0].role, "developer");
}

TEST(OpenAiFields, WhatWouldChangeTheAnswerIsRefused) {
  for (const char* name : {"tools",
                           "functions",
                           "audio",
                           "moderation",
                           "prediction",
                           "web_search_options",
                           "guided_json",
                           "guided_regex",
                           "guided_choice",
                           "guided_grammar",
                           "structured_outputs",
                           "structural_tag",
                           "grammar",
                           "json_schema",
                           "logits_processors",
                           "bad_words",
                           "allowed_token_ids",
                           "prompt_logprobs",
                           "prompt_embeds",
                           "truncate_prompt_tokens",
                           "include_stop_str_in_output",
                           "return_tokens_as_token_ids",
                           "return_token_ids",
                           "lora",
                           "echo",
                           "suffix",
                           "continue_final_message",
                           "chat_template",
                           "documents"}) {
    EXPECT_EQ(error({{name, "x"}}), std::string(name) + ": not supported yet");
    EXPECT_EQ(error({{name, nullptr}}), "accepted");
    EXPECT_EQ(error({{name, Json::array()}}), "accepted");
    EXPECT_EQ(error({{name, false}}), "accepted");
  }
  const std::vector<std::pair<const char*, std::pair<Json, Json>>> refused_and_harmless = {
      {"mirostat", {2, 0}},
      {"dynatemp_range", {0.5, 0.0}},
      {"xtc_probability", {0.5, 0}},
      {"dry_multiplier", {0.8, 0}},
      {"top_n_sigma", {1, -1}},
      {"skip_special_tokens", {false, true}},
      {"tool_choice", {"required", "none"}},
      {"tool_choice", {{{"type", "function"}}, "auto"}},
      {"function_call", {"f", "none"}},
      {"modalities", {{"text", "audio"}, Json::array({"text"})}},
      {"response_format", {{{"type", "json_object"}}, {{"type", "text"}}}},
      {"verbosity", {"low", "medium"}},
      {"best_of", {2, 1}},
      {"add_special_tokens", {true, false}}};
  for (const auto& [name, values] : refused_and_harmless) {
    EXPECT_EQ(error({{name, values.first}}).find(std::string(name) + ": only "), 0u) << name;
    EXPECT_EQ(error({{name, values.second}}), "accepted") << name;
  }
}

TEST(OpenAiFields, WrongTypesAreRefused) {
  for (const char* name : {"model",
                           "stream",
                           "n",
                           "temperature",
                           "top_p",
                           "top_k",
                           "seed",
                           "stop",
                           "logit_bias",
                           "max_tokens",
                           "max_completion_tokens",
                           "logprobs",
                           "top_logprobs",
                           "presence_penalty",
                           "frequency_penalty",
                           "min_tokens",
                           "ignore_eos",
                           "stop_token_ids",
                           "cache_salt",
                           "priority",
                           "beam_width",
                           "use_beam_search",
                           "messages",
                           "min_p"}) {
    EXPECT_EQ(error({{name, {{"odd", Json::array()}}}}).find(std::string(name) + ": "), 0u)
        << name << ": " << error({{name, {{"odd", Json::array()}}}});
  }
}

using CompletionFields = ApiTest;

TEST_F(CompletionFields, OfACompletionReachTheEngine) {
  const auto read = [this](const Json& more) {
    Json body = {{"prompt", "Once"}};
    body.update(more);
    Fields fields(body);
    auto request = read_completion_request(fields, "demo", *engine_);
    EXPECT_TRUE(request.ok()) << request.error().message;
    return std::move(request).value();
  };
  const CompletionRequest plain = read(Json::object());
  EXPECT_EQ(plain.common.request.sampling.max_tokens, 16);
  EXPECT_EQ(plain.prompts, (std::vector<std::vector<int32_t>>{*engine_->tokenize("Once", {})}));
  EXPECT_EQ(read({{"add_special_tokens", false}}).prompts[0],
            *engine_->tokenize("Once", {.add_special = false}));
  EXPECT_EQ(read({{"logprobs", 3}}).logprobs, 3);
  const CompletionRequest best = read({{"n", 2}, {"best_of", 5}});
  EXPECT_EQ(best.outputs, 2);
  EXPECT_EQ(best.common.request.outputs, 5);
  EXPECT_EQ(best.logprobs, -1);
  EXPECT_FALSE(read({{"echo", true}, {"max_tokens", 0}}).generate);
  EXPECT_EQ(read({{"odd", 1}}).common.unknown, (std::vector<std::string>{"odd"}));
}

}  // namespace
}  // namespace octavo::server
