#include "text/jinja_runtime.h"

#include <algorithm>

#include "base/error.h"

namespace octavo::text::jinja {

void Runtime::require_defined(const Value& value) const {
  if (!value.is_undefined()) return;
  const auto& reason = std::get<Undefined>(value.data).reason;
  fail("{}", reason ? *reason : "a required argument is missing");
}

void Runtime::charge(uint64_t work) {
  if (work > work_left_) {
    throw TemplateError{ErrorKind::resource, line_,
                        fmt::format("rendering takes more than {} units of work", max_work)};
  }
  work_left_ -= work;
}

void Runtime::charge_each(uint64_t count, uint64_t work) {
  charge(count > max_work ? max_work + 1 : count * work);
}

void Runtime::charge_search(const std::string& text, const std::string& what) {
  charge_each(text.size(), 1 + what.size() / 64);
}

void Runtime::enter() {
  if (depth_ >= max_render_depth) {
    throw TemplateError{ErrorKind::resource, line_,
                        fmt::format("evaluation nests deeper than {} levels", max_render_depth)};
  }
  ++depth_;
}

Value Runtime::string(std::string text) {
  charge_each(text.size(), byte_work);
  return Value(std::make_shared<const std::string>(std::move(text)));
}

Value Runtime::undefined(std::string reason) {
  charge_each(reason.size(), byte_work);
  return Value(Undefined{std::make_shared<const std::string>(std::move(reason))});
}

void Runtime::check_depth(int depth) const {
  if (depth > max_value_depth) fail("lists and dicts nest deeper than {} levels", max_value_depth);
}

Value Runtime::list(std::vector<Value> items, bool is_tuple) {
  charge_each(items.size() + 1, item_work);
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, 1 + item.depth());
  check_depth(depth);
  return Value(std::make_shared<const List>(List{std::move(items), is_tuple, depth}));
}

Value Runtime::tuple(Value first, Value second) {
  std::vector<Value> items;
  items.push_back(std::move(first));
  items.push_back(std::move(second));
  return list(std::move(items), true);
}

Value Runtime::dict(Entries entries) {
  charge_each(entries.size() + 1, 4 * item_work);  // a key, a value and a place in the index
  auto made = std::make_shared<Dict>();
  std::string text;
  for (auto& [key, value] : entries) {
    if (key.string()) charge(key.string()->size());
    if (!key_text(key, text)) fail("a {} cannot be the key of a dict", type_name(key));
    made->depth = std::max(made->depth, 1 + value.depth());
    const auto [place, is_new] = made->index.try_emplace(text, made->entries.size());
    if (is_new) {
      made->entries.emplace_back(std::move(key), std::move(value));
    } else {
      made->entries[place->second].second = std::move(value);
    }
  }
  check_depth(made->depth);
  return Value(std::shared_ptr<const Dict>(std::move(made)));
}

Namespace* Runtime::make_namespace() {
  charge(16 * item_work);
  return &namespaces_.emplace_back();
}

}  // namespace octavo::text::jinja
