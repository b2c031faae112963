#include "simulate/trace.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace octavo::simulate {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kAzureHeading = "TIMESTAMP,ContextTokens,GeneratedTokens";
constexpr size_t kLongestLine = size_t{1} << 20;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Takes the text up to the separator off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

Result<int32_t> read_length(std::string_view field, std::string_view text) {
  int64_t length = 0;
  if (!read_number(text, length) || length < 1 || length > kMostTokens) {
    return invalid_input("{}: '{}' is not a number from 1 to {}", field, printable(text),
                         kMostTokens);
  }
  return static_cast<int32_t>(length);
}

// Days since 1970-01-01 in the Gregorian calendar: whole eras of 400 years, then years that begin
// in March, so that the leap day is the last of its year.
int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = year / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

Result<double> read_timestamp(std::string_view text) {
  std::string_view rest = text;
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  int64_t hour = 0;
  int64_t minute = 0;
  double second = 0;
  const bool is_read =
      read_number(take_until(rest, '-'), year) && read_number(take_until(rest, '-'), month) &&
      read_number(take_until(rest, ' '), day) && read_number(take_until(rest, ':'), hour) &&
      read_number(take_until(rest, ':'), minute) && read_number(rest, second);
  const bool is_valid = is_read && year >= 1970 && year <= 9999 && month >= 1 && month <= 12 &&
                        day >= 1 && day <= 31 && hour >= 0 && hour < 24 && minute >= 0 &&
                        minute < 60 && second >= 0 && second < 61;
  if (!is_valid) {
    return invalid_input("TIMESTAMP: '{}' is not a time such as 2023-11-16 18:15:46.68",
                         printable(text));
  }
  const int64_t minutes = (days_from_date(year, month, day) * 24 + hour) * 60 + minute;
  return static_cast<double>(minutes) * 60 + second;
}

Result<Request> parse_azure(std::string_view line) {
  std::string_view rest = line;
  const std::string_view time = take_until(rest, ',');
  const std::string_view prompt = take_until(rest, ',');
  Request request;
  OCTAVO_ASSIGN(request.arrival_s, read_timestamp(time));
  OCTAVO_ASSIGN(request.prompt_length, read_length("ContextTokens", prompt));
  OCTAVO_ASSIGN(request.output_length, read_length("GeneratedTokens", rest));
  return request;
}

Result<int64_t> read_integer(const Json& object, const char* field, int64_t least, int64_t most) {
  const auto found = object.find(field);
  if (found == object.end()) return invalid_input("{} is missing", field);
  // An unsigned number may be too large for the signed comparison below.
  const bool is_integer =
      found->is_number_integer() &&
      (!found->is_number_unsigned() || found->get<uint64_t>() <= static_cast<uint64_t>(most));
  if (!is_integer || found->get<int64_t>() < least || found->get<int64_t>() > most) {
    return invalid_input("{}: {} is not an integer from {} to {}", field, printable(found->dump()),
                         least, most);
  }
  return found->get<int64_t>();
}

Result<std::vector<int32_t>> read_pieces(const Json& object, int32_t prompt_length) {
  const auto found = object.find("hash_ids");
  if (found == object.end() || !found->is_array()) {
    return invalid_input("hash_ids: an array of integers expected");
  }
  const auto expected =
      static_cast<size_t>((int64_t{prompt_length} + kPieceTokens - 1) / kPieceTokens);
  if (found->size() != expected) {
    return invalid_input("hash_ids: {} ids for {} prompt tokens, {} expected", found->size(),
                         prompt_length, expected);
  }
  // Tokens are made of ids and must stay different.
  constexpr int64_t kMostId = (int64_t{1} << 31) / kPieceTokens - 1;
  std::vector<int32_t> pieces;
  pieces.reserve(expected);
  for (const Json& id : *found) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(kMostId)) {
      return invalid_input("hash_ids: {} is not an integer from 0 to {}", printable(id.dump()),
                           kMostId);
    }
    pieces.push_back(id.get<int32_t>());
  }
  return pieces;
}

Result<Request> parse_mooncake(std::string_view line) {
  // What is nested deeper than an array in the object is dropped while it is read.
  const auto keep_shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= 2; };
  const Json object = Json::parse(line, keep_shallow, /*allow_exceptions=*/false);
  if (!object.is_object()) return invalid_input("not a JSON object");
  constexpr int64_t kMostMilliseconds = int64_t{1} << 52;
  Request request;
  OCTAVO_ASSIGN(const int64_t time, read_integer(object, "timestamp", 0, kMostMilliseconds));
  OCTAVO_ASSIGN(const int64_t prompt, read_integer(object, "input_length", 1, kMostTokens));
  OCTAVO_ASSIGN(const int64_t output, read_integer(object, "output_length", 1, kMostTokens));
  request.arrival_s = static_cast<double>(time) / 1000;
  request.prompt_length = static_cast<int32_t>(prompt);
  request.output_length = static_cast<int32_t>(output);
  OCTAVO_ASSIGN(request.pieces, read_pieces(object, request.prompt_length));
  return request;
}

Result<Request> parse_line(std::string_view line, bool is_json) {
  if (line.size() > kLongestLine) {
    return invalid_input("the line has {} bytes, at most {} are read", line.size(), kLongestLine);
  }
  return is_json ? parse_mooncake(line) : parse_azure(line);
}

}  // namespace

Result<Workload> parse_trace(std::string_view name, std::string_view content) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  Workload workload{.name = std::string(name)};
  std::vector<Request>& requests = workload.requests;
  double first_s = 0;
  bool is_json = false;
  bool is_begun = false;
  for (size_t number = 1; !content.empty(); ++number) {
    const std::string_view line = trimmed(take_until(content, '\n'));
    if (line.empty()) continue;
    if (!std::exchange(is_begun, true)) {
      is_json = line.starts_with('{');
      if (!is_json && line == kAzureHeading) continue;
      if (!is_json) {
        return invalid_input("{}:{}: neither the heading '{}' nor a JSON object", name, number,
                             kAzureHeading);
      }
    }
    Result<Request> request = parse_line(line, is_json);
    if (!request) return invalid_input("{}:{}: {}", name, number, request.error().message);
    if (requests.empty()) first_s = request->arrival_s;
    request->arrival_s -= first_s;
    if (request->arrival_s < (requests.empty() ? 0 : requests.back().arrival_s)) {
      return invalid_input("{}:{}: the time is before that of the request above", name, number);
    }
    requests.push_back(std::move(request).value());
  }
  if (requests.empty()) return invalid_input("{}: no requests", name);
  return workload;
}

}  // namespace octavo::simulate
