// A request to the engine as a coroutine reads it: to its end, and when the client goes.
#include "server/generation.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "engine/engine_run.h"
#include "server/fake_exchange.h"

namespace octavo::server {
namespace {

class GenerationTest : public testing::Test {
 protected:
  // Reads the request's events to the end.
  void read(FakeExchange& exchange, const Request& request) {
    exchange.run([&](Exchange& e) -> asio::awaitable<void> {
      auto generation = Generation::start(service_, e, {request});
      if (!generation) {
        error_ = generation.error();
        co_return;
      }
      HttpResponse head;
      co_await e.begin_stream(std::move(head));
      while (const auto next = co_await (*generation)->next()) {
        record(next->event, outputs_);
        co_await e.write(std::string(next->event.tokens.size(), '.'));
      }
    });
  }

  std::unique_ptr<Engine> engine_ = make_engine(golden_config("llama"));
  ServerConfig config_;
  Workers workers_;
  const Service service_{*engine_, config_, workers_};
  std::vector<OutputRecord> outputs_{2};
  std::optional<Error> error_;
};

TEST_F(GenerationTest, GivesWhatTheEngineGives) {
  Request request = greedy({1, 2, 3, 4, 5}, 50);
  request.outputs = 2;
  FakeExchange exchange("POST", "/");
  read(exchange, request);
  EXPECT_EQ(outputs_, run_to_end(*engine_, request));
  EXPECT_EQ(exchange.usage.prompt_tokens, 5);
  EXPECT_EQ(exchange.usage.generated_tokens, 100);
}

TEST_F(GenerationTest, ACaughtErrorStartsNothing) {
  FakeExchange exchange("POST", "/");
  read(exchange, greedy({}, 5));
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->message, "prompt: it has no tokens");
}

TEST_F(GenerationTest, EndsWhenTheClientGoes) {
  FakeExchange exchange("POST", "/");
  exchange.leave_after_bytes = 3;
  read(exchange, greedy({1, 2, 3}, 1000));
  EXPECT_GE(exchange.usage.generated_tokens, 3);
  EXPECT_LT(exchange.usage.generated_tokens, 1000);
  while (engine_->stats().running > 0) std::this_thread::yield();
}

TEST_F(GenerationTest, WritesWhileItWaits) {
  FakeExchange exchange("POST", "/");
  const std::string& body = exchange.response.body;
  const auto count = [&body](char c) { return std::count(body.begin(), body.end(), c); };
  int64_t tokens = 0;
  exchange.run([&](Exchange& e) -> asio::awaitable<void> {
    HttpResponse head;
    co_await e.begin_stream(std::move(head));
    // On a busy machine the whole answer may be there before anybody has waited for it.
    while (count('!') == 0) {
      tokens += 200;
      std::vector<Request> requests = {greedy({1, 2, 3}, 200)};
      auto generation = Generation::start(service_, e, std::move(requests));
      (*generation)->ping("!", std::chrono::nanoseconds(1));
      while (const auto next = co_await (*generation)->next()) {
        co_await e.write(std::string(next->event.tokens.size(), '.'));
      }
    }
  });
  EXPECT_EQ(count('.'), tokens) << "no event is lost by it";
}

TEST_F(GenerationTest, AWorkerDoesLongWork) {
  FakeExchange exchange("POST", "/");
  std::thread::id worker;
  const std::string text(1000, 'x');
  exchange.run([&](Exchange& e) -> asio::awaitable<void> {
    HttpResponse response;
    response.body = co_await service_.run_on_worker([&worker, &text] {
      worker = std::this_thread::get_id();
      return text + "y";
    });
    co_await e.respond(std::move(response));
  });
  EXPECT_EQ(exchange.response.body, text + "y");
  EXPECT_TRUE(worker != std::thread::id());
  EXPECT_TRUE(worker != std::this_thread::get_id());
}

TEST_F(GenerationTest, ShortWorkDoesNotWaitForLong) {
  HttpRequest long_one;
  long_one.body.assign(100'000, 'x');
  std::promise<void> over;
  const std::shared_future<void> is_over = over.get_future().share();
  std::atomic<bool> was_in_time = true;
  for (int i = 0; i < 4; ++i) {  // more than there are threads of any lane
    asio::post(workers_.lane(lane_of(long_one)), [&was_in_time, is_over] {
      const auto status = is_over.wait_for(std::chrono::seconds(20));
      if (status != std::future_status::ready) was_in_time = false;
    });
  }
  FakeExchange exchange("POST", "/", "short");
  exchange.run([&](Exchange& e) -> asio::awaitable<void> {
    co_await service_.run_on_worker([] { return true; }, lane_of(e.request()));
  });
  over.set_value();
  workers_.lane(Lane::long_work).join();
  EXPECT_TRUE(was_in_time);
}

}  // namespace
}  // namespace octavo::server
