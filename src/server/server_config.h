// Every setting of the server: one list, from which flags, help text and the manual are made.
#pragma once

#include <cstdint>
#include <string>

#include "octavo/config.h"

namespace octavo::server {

struct ServerConfig {
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  std::string unix_socket;  // empty: none
  std::string tls_cert;     // with tls_key: HTTPS
  std::string tls_key;
  std::string api_keys;            // a file; empty: everybody may ask
  std::string cors_origin;         // empty: no CORS headers
  std::string served_name;         // what the APIs call the model; empty: its own name
  std::string access_log;          // a file, or - for standard error; empty: none
  std::string log_level = "info";  // or "debug"
  int64_t io_threads = 2;
  int64_t max_connections = 4096;
  int64_t max_header_bytes = 64 * 1024;
  int64_t max_body_bytes = 16 * 1024 * 1024;
  int64_t max_bodies_bytes = 256 * 1024 * 1024;  // of all requests in progress
  int64_t request_seconds = 30;     // to send a request, or to take a piece of the answer
  int64_t keep_alive_seconds = 75;  // between requests
  int64_t drain_seconds = 30;
};

// Calls visitor(ConfigField, member) for each setting, in the order of the manual. `Config` is
// ServerConfig or const ServerConfig.
template <class Config, class Visitor>
void visit_server_config(Config& config, Visitor&& visitor) {
  visitor(ConfigField{"host", "Address to listen on; 0.0.0.0 or :: for all."}, config.host);
  visitor(ConfigField{"port", "Port to listen on; 0: one that is free.", 0, 65535}, config.port);
  visitor(ConfigField{"unix-socket", "Listen on this Unix socket too."}, config.unix_socket);
  visitor(ConfigField{"tls-cert", "Serve HTTPS with this certificate chain (PEM)."},
          config.tls_cert);
  visitor(ConfigField{"tls-key", "The certificate's private key (PEM)."}, config.tls_key);
  visitor(
      ConfigField{"api-keys",
                  "A file of API keys; without it, everybody may ask. A line is a key, then, "
                  "if wanted, name=WHO requests-per-minute=N tokens-per-minute=N "
                  "concurrent-requests=N. It is read again when it changes. /health, /ready and "
                  "the page need no key, /metrics does."},
      config.api_keys);
  visitor(ConfigField{"cors-origin",
                      "Let pages of this origin use the server (* for all); without it, none."},
          config.cors_origin);
  visitor(ConfigField{"served-name", "What the APIs call the model; its own name otherwise."},
          config.served_name);
  visitor(ConfigField{"access-log",
                      "Write a JSON line for each request to this file; - for "
                      "standard error."},
          config.access_log);
  visitor(ConfigField{"log-level",
                      "What standard error tells: info (what goes wrong) or debug (which fields "
                      "of a request were ignored, too, because nobody knows them)."},
          config.log_level);
  visitor(ConfigField{"io-threads", "Threads that serve connections.", 1, 64}, config.io_threads);
  visitor(ConfigField{"max-connections", "Most connections at once; more are closed.", 1, 1000000},
          config.max_connections);
  visitor(
      ConfigField{
          "max-header-bytes",
          "Most bytes of a request's header, and of requests that wait behind one on a connection.",
          1024, int64_t{1} << 20, true},
      config.max_header_bytes);
  visitor(ConfigField{"max-body-bytes", "Most bytes of a request's body.", 1024, int64_t{1} << 30,
                      true},
          config.max_body_bytes);
  visitor(ConfigField{"max-bodies-bytes",
                      "Most bytes of the bodies of all requests in progress; more are refused.",
                      int64_t{1} << 20, int64_t{1} << 40, true},
          config.max_bodies_bytes);
  visitor(ConfigField{"request-seconds",
                      "A request must have arrived whole within this time, and a client must take "
                      "each 64 KiB of an answer within it.",
                      1, 3600},
          config.request_seconds);
  visitor(ConfigField{"keep-alive-seconds", "Close a connection that asks nothing for so long.", 1,
                      86400},
          config.keep_alive_seconds);
  visitor(ConfigField{"drain-seconds",
                      "When told to stop (SIGTERM), let running requests finish for so long.", 0,
                      86400},
          config.drain_seconds);
}

}  // namespace octavo::server
