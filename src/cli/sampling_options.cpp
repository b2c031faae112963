#include "cli/sampling_options.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace octavo::cli {
namespace {

constexpr const char* kGroup = "Sampling";

std::string flag_of(const SamplingField& field) {
  std::string flag = std::string("--") + field.name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, float& value) {
  return app.add_option(flag_of(field), value, field.help)->type_name("X")->capture_default_str();
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, int32_t& value) {
  return app.add_option(flag_of(field), value, field.help)->type_name("N")->capture_default_str();
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, bool& value) {
  return app.add_flag(flag_of(field), value, field.help);
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, std::optional<uint64_t>& value) {
  const std::string flag = flag_of(field);
  // Not the parser's own conversion: it takes -1 for the largest number.
  const auto read = [&value, flag](const std::string& text) {
    uint64_t seed = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, seed);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      throw CLI::ValidationError(flag,
                                 "'" + printable(text) + "' is not a number from 0 to 2^64-1");
    }
    value = seed;
  };
  return app.add_option_function<std::string>(flag, read, field.help)->type_name("N");
}

// One value for each time the flag is given: "--stop a MODEL" must not take MODEL for a stop.
CLI::Option* add_flag(CLI::App& app, const SamplingField& field, std::vector<std::string>& value) {
  return app.add_option(flag_of(field), value, std::string(field.help) + " May be repeated.")
      ->type_name("TEXT")
      ->allow_extra_args(false);
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, std::vector<int32_t>& value) {
  return app.add_option(flag_of(field), value, std::string(field.help) + " May be repeated.")
      ->type_name("ID")
      ->allow_extra_args(false);
}

TokenBias parse_bias(const std::string& flag, std::string_view text) {
  TokenBias bias;
  const char* end = text.data() + text.size();
  const auto id = std::from_chars(text.data(), end, bias.token);
  if (id.ec == std::errc() && id.ptr != end && *id.ptr == '=') {
    const auto number = std::from_chars(id.ptr + 1, end, bias.bias);
    if (number.ec == std::errc() && number.ptr == end) return bias;
  }
  throw CLI::ValidationError(flag, "'" + printable(text) + "' is not ID=BIAS, such as 42=-1.5");
}

CLI::Option* add_flag(CLI::App& app, const SamplingField& field, std::vector<TokenBias>& value) {
  const std::string flag = flag_of(field);
  const auto read = [&value, flag](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) value.push_back(parse_bias(flag, text));
  };
  return app
      .add_option_function<std::vector<std::string>>(flag, read,
                                                     std::string(field.help) + " May be repeated.")
      ->type_name("ID=BIAS")
      ->allow_extra_args(false);
}

}  // namespace

void add_sampling_options(CLI::App& app, SamplingParams& params) {
  visit_sampling(params, [&app](const SamplingField& field, auto& value) {
    add_flag(app, field, value)->group(kGroup);
  });
}

void add_beam_options(CLI::App& app, std::optional<BeamParams>& beam) {
  constexpr const char* kBeamGroup = "Beam search";
  const auto params = [&beam]() -> BeamParams& { return beam ? *beam : beam.emplace(); };
  CLI::Option* width =
      app.add_option_function<int32_t>(
             "--beam-width", [params](int32_t value) { params().width = value; },
             "Search for the most probable texts with this many beams, 1 to 16, in place of "
             "sampling; --n of them are given, the best first.")
          ->type_name("N")
          ->group(kBeamGroup);
  app.add_option_function<float>(
         "--length-penalty", [params](float value) { params().length_penalty = value; },
         "A text's score is the sum of its log probabilities / length ^ X; 1 unless given.")
      ->type_name("X")
      ->needs(width)
      ->group(kBeamGroup);
  const std::map<std::string, EarlyStopping> kinds = {
      {"no", EarlyStopping::no}, {"yes", EarlyStopping::yes}, {"never", EarlyStopping::never}};
  app.add_option_function<std::string>(
         "--early-stopping",
         [params, kinds](const std::string& name) { params().early_stopping = kinds.at(name); },
         "With as many finished texts as beams, stop at once (yes), when the best beam is no "
         "better (no; unless given), or when no beam could become better (never).")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"no", "yes", "never"}))
      ->needs(width)
      ->group(kBeamGroup);
}

}  // namespace octavo::cli
