#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>

#include "base/blocking_pool.h"
#include "base/error.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "models/model_manager.h"

namespace sutazai::http {

/// The HTTP server: accepts connections on HOST:PORT, and on OLLAMA_COMPAT_PORT if that is set, and serves every route.
/// Everything happens on the one thread that runs `io`, but for work on large bodies. All arguments must outlive this
/// object, and `io` must not run any more once it is destroyed unless drain() has completed.
class Server {
  public:
    Server(boost::asio::io_context& io, const config::Settings& settings, models::AdvancedModelManager& models,
           const catalog::Catalog& catalog, BlockingPool& pool);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds, starts accepting, returns the port (the one chosen, if PORT is 0). kUnavailable when an address cannot
    /// be had: then there is none; the message says what to change.
    [[nodiscard]] Result<std::uint16_t> listen();

    /// Takes no new requests, lets running ones finish until `deadline`, then cuts them. Returns when every connection
    /// is closed.
    [[nodiscard]] boost::asio::awaitable<void> drain(std::chrono::milliseconds deadline);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace sutazai::http
