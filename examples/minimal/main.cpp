// Continues a text with a model: minimal MODEL.gguf "Once upon a time"
#include <octavo/engine.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: minimal MODEL.gguf TEXT\n";
    return 2;
  }
  octavo::EngineConfig config;
  config.model_path = argv[1];
  auto engine = octavo::Engine::create(config);
  if (!engine) {
    std::cerr << engine.error().message << '\n';
    return 2;
  }

  octavo::Request request;
  request.prompt = (*engine)->tokenize(argv[2], {}).value();
  request.sampling.temperature = 0;
  request.sampling.max_tokens = 64;
  auto stream = (*engine)->submit(request);
  if (!stream) {
    std::cerr << stream.error().message << '\n';
    return 2;
  }
  while (auto event = (*stream)->next()) std::cout << event->text << std::flush;
  std::cout << '\n';
}
