#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ipc/channel.h"
#include "ipc/token_stream.h"

/// For tests only.
namespace sutazai::serve::testing_support {

namespace asio = boost::asio;

/// Hands out streams that the test fills by hand.
class HandEngine : public ipc::Generator {
  public:
    [[nodiscard]] std::vector<ipc::TokenStream> submit_all(GenerationRequest request) override {
        if (prompts.size() == throws_at) throw std::bad_alloc();
        prompts.push_back(std::get<std::string>(request.prompt));
        std::vector<ipc::TokenStream> streams;
        for (int i = 0; i < request.n; ++i) {
            const std::size_t index = channels.size();
            channels.push_back(std::make_shared<ipc::TokenStream::Channel>([this, index] { cancelled.insert(index); }));
            streams.emplace_back(channels.back());
        }
        return streams;
    }

    std::size_t throws_at = SIZE_MAX;
    std::vector<std::string> prompts;
    std::vector<std::shared_ptr<ipc::TokenStream::Channel>> channels;
    std::set<std::size_t> cancelled;
};

inline std::vector<GenerationRequest> requests(std::size_t n) {
    std::vector<GenerationRequest> all(n);
    for (std::size_t i = 0; i < n; ++i) all[i].prompt = std::to_string(i);
    return all;
}

/// Runs the coroutine to its end.
inline void run(asio::io_context& io, asio::awaitable<void> body) {
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(body), [&](const std::exception_ptr& error) { thrown = error; });
    io.run();
    io.restart();
    if (thrown) std::rethrow_exception(thrown);
}

}  // namespace sutazai::serve::testing_support
