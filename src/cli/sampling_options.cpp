#include "cli/sampling_options.h"

#include <algorithm>
#include <charconv>
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

}  // namespace octavo::cli
