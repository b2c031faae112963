// The page's files and the memory view's JSON, as the browser gets them. What they do in a browser
// is tested in tests/page.
#include "server/page/page.h"

#include <regex>
#include <set>
#include <thread>

#include "engine/engine_run.h"
#include "server/fake_exchange.h"
#include "server/memory_view.h"

namespace octavo::server {
namespace {

class PageTest : public testing::Test {
 protected:
  PageTest() { add_page_routes(router_); }
  HttpResponse get(const std::string& path, const std::string& known_tag = "") {
    FakeExchange exchange("GET", path);
    if (!known_tag.empty()) exchange.request_.headers.emplace_back("if-none-match", known_tag);
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    return exchange.response;
  }
  static std::string header(const HttpResponse& response, std::string_view name) {
    for (const auto& [field, value] : response.headers) {
      if (field == name) return value;
    }
    return "";
  }

  Router router_;
};

// Follows src, href and import from the page on.
TEST_F(PageTest, EveryFileThatIsAskedForIsThere) {
  const std::regex reference(R"re((?:src|href|from)[= ]"(?:\./)?([\w.]+)")re");
  std::vector<std::string> open = {"/"};
  std::set<std::string> seen;
  while (!open.empty()) {
    const std::string path = open.back();
    open.pop_back();
    if (!seen.insert(path).second) continue;
    const HttpResponse response = get(path);
    ASSERT_EQ(response.status, 200) << path;
    EXPECT_FALSE(response.body.empty()) << path;
    std::sregex_iterator at(response.body.begin(), response.body.end(), reference);
    for (; at != std::sregex_iterator(); ++at) open.emplace_back('/' + at->str(1));
  }
  EXPECT_GE(seen.size(), 10u);
  EXPECT_TRUE(seen.contains("/memory.js"));
}

TEST_F(PageTest, OnlyThisServersScriptsMayRun) {
  const std::string policy = header(get("/"), "Content-Security-Policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(policy.find("script-src 'self'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_EQ(header(get("/app.js"), "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(get("/app.js").content_type, "text/javascript; charset=utf-8");
}

TEST_F(PageTest, AFileThatIsKnownIsNotSentAgain) {
  const std::string tag = header(get("/page.css"), "ETag");
  const HttpResponse again = get("/page.css", tag);
  EXPECT_EQ(again.status, 304);
  EXPECT_TRUE(again.body.empty());
  EXPECT_EQ(get("/page.css", "\"other\"").status, 200);
}

TEST(MemoryView, ShowsEveryBlockAndWhoHoldsIt) {
  const auto engine = make_engine(golden_config("llama"));
  Request request = greedy({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, 300);
  request.outputs = 2;
  const auto stream = engine->submit(request);
  ASSERT_TRUE(stream.ok() && (*stream)->next());
  const Json json = memory_json(engine->cache_snapshot(), engine->stats());
  EXPECT_EQ(json["total"], json["uncommitted"].get<int>() + json["free"].get<int>() +
                               json["cached"].get<int>() + json["in_use"].get<int>());
  ASSERT_EQ(json["sequences"].size(), 2u);
  int shared = 0;
  int in_use = 0;
  for (const Json& block : json["blocks"]) {
    ASSERT_EQ(block.size(), 7u);
    in_use += block[1] == 2 ? 1 : 0;
    shared += block[6].size() == 2 ? 1 : 0;
  }
  EXPECT_EQ(in_use, json["in_use"]);
  EXPECT_EQ(shared, json["shared"]);
  EXPECT_GE(shared, 1) << "the prompt's full block";
}

TEST(MemoryView, ManyWatchersCostOneSnapshot) {
  const auto engine = make_engine(golden_config("llama"));
  MemoryView view(*engine);
  const std::string first = view.text();
  run_to_end(*engine, greedy({1, 2, 3}, 3));
  EXPECT_EQ(view.text(), first) << "it is fresh enough";
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  EXPECT_NE(view.text(), first);
}

TEST(MemoryView, TheFirstWatchersHaveOneSnapshotTogether) {
  const auto engine = make_engine(golden_config("llama"));
  MemoryView view(*engine);
  std::vector<std::string> seen(8);
  std::vector<std::thread> watchers;
  for (std::string& text : seen) watchers.emplace_back([&] { text = view.text(); });
  for (std::thread& watcher : watchers) watcher.join();
  // The time of the snapshot is in it.
  for (const std::string& text : seen) EXPECT_EQ(text, seen[0]);
}

}  // namespace
}  // namespace octavo::server
