#include "server/http/writer.h"

#include "server/http/deadline.h"

namespace octavo::server {

asio::awaitable<void> Writer::write(std::string_view bytes) {
  // In pieces, so that a slow reader of a long answer is seen to make progress.
  constexpr size_t kPiece = 64 * 1024;
  while (!bytes.empty() && !failed_) {
    const std::string_view piece = bytes.substr(0, kPiece);
    const Deadline deadline(transport_, patience_);
    const bool written = co_await transport_->write(asio::buffer(piece));
    failed_ = !written;
    if (written) bytes_ += static_cast<int64_t>(piece.size());
    bytes.remove_prefix(piece.size());
  }
}

}  // namespace octavo::server
