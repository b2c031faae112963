#include "text/tokenizer.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "text/bpe_model.h"
#include "text/pre_tokenizer.h"
#include "text/spm_model.h"

namespace octavo::text {
namespace {

constexpr const char* model_key = "tokenizer.ggml.model";
constexpr const char* pre_key = "tokenizer.ggml.pre";

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// What a value of tokenizer.ggml.model means.
struct Kind {
  Spelling spelling;
  SpecialDefaults defaults;
  std::optional<PreTokenizer> pre_tokenizer;  // of BPE models
};

Result<Kind> kind_of(const gguf::Metadata& metadata) {
  OCTAVO_ASSIGN(const std::string model, metadata.string(model_key));
  if (model == "llama") {
    return Kind{Spelling::visible_space, {.bos = 1, .eos = 2, .unknown = 0, .add_bos = true}, {}};
  }
  if (model != "gpt2" && model != "gemma4") {
    return unsupported("{}: {}: unknown tokenizer '{}', supported are: llama, gpt2, gemma4",
                       metadata.source(), model_key, printable(model));
  }
  OCTAVO_ASSIGN(const std::string named, metadata.string_or(pre_key, "default"));
  const std::string name = model == "gemma4" ? "gemma4" : named;
  Result<PreTokenizer> pre_tokenizer = PreTokenizer::create(name);
  if (!pre_tokenizer) {
    return unsupported("{}: {}: {}", metadata.source(), pre_key, pre_tokenizer.error().message);
  }
  Kind kind{name == "gemma4" ? Spelling::visible_space : Spelling::byte_alphabet, {}, {}};
  kind.defaults.add_bos = pre_tokenizer->add_bos();
  kind.pre_tokenizer = std::move(pre_tokenizer).value();
  return kind;
}

bool is_phi3(const gguf::Metadata& metadata) {
  Result<std::string> name = metadata.string_or("general.name", "");
  if (!name) return false;
  std::string lower = *name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(const gguf::Metadata& metadata) {
  OCTAVO_ASSIGN(Kind kind, kind_of(metadata));
  OCTAVO_ASSIGN(Vocabulary vocabulary, Vocabulary::load(metadata, kind.spelling, kind.defaults));
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(vocabulary)));
  if (kind.pre_tokenizer) {
    OCTAVO_ASSIGN(tokenizer->model_, BpeModel::create(metadata, tokenizer->vocabulary_,
                                                      std::move(*kind.pre_tokenizer)));
  } else {
    OCTAVO_ASSIGN(tokenizer->model_, SpmModel::create(metadata, tokenizer->vocabulary_));
  }
  tokenizer->collect_written_tokens(is_phi3(metadata));
  return tokenizer;
}

void Tokenizer::collect_written_tokens(bool phi3) {
  swallows_space_.assign(static_cast<size_t>(vocabulary_size()), false);
  for (int32_t id = 0; id < vocabulary_size(); ++id) {
    const std::string_view text = vocabulary_.text(id);
    const bool written = is_special(id) || vocabulary_.kind(id) == TokenKind::user_defined;
    if (!written || text.empty()) continue;
    written_tokens_.insert(text, id);
    // Phi-3's own tokenizer drops white space after all special tokens but these; GGUF has no key
    // for that.
    const bool keeps = text == "<s>" || text == "<unk>" || text == "<|endoftext|>";
    swallows_space_[static_cast<size_t>(id)] = phi3 && !keeps;
  }
}

// The longest written token that `text` begins with.
Tokenizer::Match Tokenizer::match_written_token(std::string_view text, bool parse_special) const {
  Match match;
  int32_t node = ByteTrie::root;
  for (size_t at = 0; at < text.size(); ++at) {
    node = written_tokens_.child(node, static_cast<unsigned char>(text[at]));
    if (node == ByteTrie::none) break;
    const int32_t id = written_tokens_.value(node);
    if (id != ByteTrie::none && (parse_special || !is_special(id))) match = {id, at + 1};
  }
  return match;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  OCTAVO_CHECK(text.size() <= max_text_bytes, "a text of {} bytes", text.size());
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 2);
  if (options.add_special && special().add_bos) ids.push_back(*bos());
  encode_text(text, options.parse_special, ids);
  if (options.add_special && special().add_eos) ids.push_back(*eos());
  return ids;
}

void Tokenizer::encode_text(std::string_view text, bool parse_special,
                            std::vector<int32_t>& out) const {
  bool at_start = true;
  size_t begin = 0;  // of the ordinary text before `at`
  const auto encode_before = [&](size_t end) {
    if (end == begin) return;
    model_->encode(text.substr(begin, end - begin), at_start, out);
    at_start = false;
  };
  for (size_t at = 0; at < text.size();) {
    const Match match = match_written_token(text.substr(at), parse_special);
    if (match.id == no_token) {
      ++at;
      continue;
    }
    encode_before(at);
    out.push_back(match.id);
    at_start = true;
    at += match.length;
    if (swallows_space_[static_cast<size_t>(match.id)]) {
      while (at < text.size() && is_ascii_space(text[at])) ++at;
    }
    begin = at;
  }
  encode_before(text.size());
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool show_special) const {
  std::string text;
  // As in encode(), the added space is at the beginning and after every special token.
  bool at_start = true;
  for (const int32_t id : ids) {
    OCTAVO_CHECK(id >= 0 && id < vocabulary_size(), "token {}", id);
    const bool written = is_special(id) || vocabulary_.kind(id) == TokenKind::user_defined;
    std::string_view bytes = is_special(id) && !show_special ? std::string_view() : piece(id);
    if (!written && at_start && model_->adds_space_prefix() && bytes.substr(0, 1) == " ") {
      bytes.remove_prefix(1);
    }
    text += bytes;
    at_start = written;
  }
  return text;
}

std::optional<int32_t> Tokenizer::find_token(std::string_view token_text) const {
  const int32_t id = vocabulary_.find(token_text);
  return id == no_token ? std::nullopt : std::optional<int32_t>(id);
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  const std::vector<int32_t>& ids = special().end_of_generation;
  return std::binary_search(ids.begin(), ids.end(), id);
}

}  // namespace octavo::text
