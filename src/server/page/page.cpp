#include "server/page/page.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Puts a file of this folder among the constants, between two symbols.
#define OCTAVO_PAGE_FILE(symbol, name)                         \
  extern "C" {                                                 \
  extern const char octavo_page_##symbol[];       /* NOLINT */ \
  extern const char octavo_page_##symbol##_end[]; /* NOLINT */ \
  }                                                            \
  __asm__(                                                     \
      ".pushsection .rodata\n"                                 \
      "octavo_page_" #symbol                                   \
      ":\n"                                                    \
      ".incbin \"" OCTAVO_PAGE_FOLDER "/" name                 \
      "\"\n"                                                   \
      "octavo_page_" #symbol                                   \
      "_end:\n"                                                \
      ".byte 0\n"                                              \
      ".global octavo_page_" #symbol ", octavo_page_" #symbol  \
      "_end\n"                                                 \
      ".popsection\n")

#define OCTAVO_CONTENT(symbol) \
  std::string_view(octavo_page_##symbol, octavo_page_##symbol##_end - octavo_page_##symbol)

OCTAVO_PAGE_FILE(index, "index.html");
OCTAVO_PAGE_FILE(css, "page.css");
OCTAVO_PAGE_FILE(icon, "icon.svg");
OCTAVO_PAGE_FILE(api, "api.js");
OCTAVO_PAGE_FILE(app, "app.js");
OCTAVO_PAGE_FILE(chat, "chat.js");
OCTAVO_PAGE_FILE(dom, "dom.js");
OCTAVO_PAGE_FILE(markdown, "markdown.js");
OCTAVO_PAGE_FILE(memory, "memory.js");
OCTAVO_PAGE_FILE(settings, "settings.js");
OCTAVO_PAGE_FILE(store, "store.js");

namespace octavo::server {
namespace {

constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kCss = "text/css; charset=utf-8";
constexpr const char* kSvg = "image/svg+xml";
constexpr const char* kScript = "text/javascript; charset=utf-8";

struct File {
  const char* path;
  const char* type;
  std::string_view content;
};

// A function: the ends of the files are known to the linker only.
std::vector<File> files() {
  return {{"/", kHtml, OCTAVO_CONTENT(index)},
          {"/page.css", kCss, OCTAVO_CONTENT(css)},
          {"/icon.svg", kSvg, OCTAVO_CONTENT(icon)},
          {"/api.js", kScript, OCTAVO_CONTENT(api)},
          {"/app.js", kScript, OCTAVO_CONTENT(app)},
          {"/chat.js", kScript, OCTAVO_CONTENT(chat)},
          {"/dom.js", kScript, OCTAVO_CONTENT(dom)},
          {"/markdown.js", kScript, OCTAVO_CONTENT(markdown)},
          {"/memory.js", kScript, OCTAVO_CONTENT(memory)},
          {"/settings.js", kScript, OCTAVO_CONTENT(settings)},
          {"/store.js", kScript, OCTAVO_CONTENT(store)}};
}

// Whatever a model writes, the browser runs and loads nothing that is not of this server.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

asio::awaitable<void> send_file(Exchange& exchange, File file, std::string tag) {
  HttpResponse response;
  response.content_type = file.type;
  response.headers = {{"ETag", tag},
                      {"Cache-Control", "no-cache"},  // ask each time; mostly 304 is the answer
                      {"Content-Security-Policy", kPolicy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (exchange.request().header("If-None-Match") == tag) {
    response.status = 304;
    response.content_type.clear();
  } else {
    response.body = file.content;
  }
  co_await exchange.respond(std::move(response));
}

}  // namespace

void add_page_routes(Router& router) {
  for (const File& file : files()) {
    std::string tag =
        fmt::format("\"{:016x}\"", XXH3_64bits(file.content.data(), file.content.size()));
    router.add(
        "GET", file.path,
        [file, tag = std::move(tag)](Exchange& exchange) { return send_file(exchange, file, tag); },
        Access::everybody);
  }
}

}  // namespace octavo::server
