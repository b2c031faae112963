// A request to the engine as a coroutine reads it: to its end, and when the client goes.
#include "server/generation.h"

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
  asio::thread_pool workers_{1};
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
  exchange.run([&](Exchange& e) -> asio::awaitable<void> {
    std::vector<Request> requests = {greedy({1, 2, 3}, 200)};
    auto generation = Generation::start(service_, e, std::move(requests));
    HttpResponse head;
    co_await e.begin_stream(std::move(head));
    (*generation)->ping("!", std::chrono::nanoseconds(1));
    while (const auto next = co_await (*generation)->next()) {
      co_await e.write(std::string(next->event.tokens.size(), '.'));
    }
  });
  const std::string& body = exchange.response.body;
  EXPECT_GT(std::count(body.begin(), body.end(), '!'), 0);
  EXPECT_EQ(std::count(body.begin(), body.end(), '.'), 200) << "no event is lost by it";
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

}  // namespace
}  // namespace octavo::server
