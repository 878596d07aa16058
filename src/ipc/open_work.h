#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/artifact_action.h"
#include "base/error.h"
#include "base/generation.h"
#include "ipc/signal.h"
#include "ipc/token_stream.h"
#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// What one engine has been asked and has not finished: the writers' halves of streams, and orders about artifacts.
/// Numbers them, and hands out what the engine says of them. One I/O thread; outlives its streams' cancels.
class OpenWork {
  public:
    /// `cancel` is called when the reader of an open request goes away, which is forgotten then.
    explicit OpenWork(std::function<void(RequestId)> cancel) : cancel_(std::move(cancel)) {}
    OpenWork(const OpenWork&) = delete;
    OpenWork& operator=(const OpenWork&) = delete;

    /// The `n` answers to a request have consecutive ids. They are open from add() on; before, they may be refused.
    struct Answers {
        RequestId first = 0;
        std::vector<TokenStream> streams;
        std::vector<std::shared_ptr<TokenStream::Channel>> channels;

        void refuse(const Error& error) const;
    };
    [[nodiscard]] Answers prepare(int n);
    void add(const Answers& answers);

    /// An order about artifacts: its id, and what becomes of it.
    struct Order {
        std::optional<Result<ArtifactReport>> result;
        Signal ready;
    };
    [[nodiscard]] std::pair<std::uint64_t, std::shared_ptr<Order>> add_order();

    /// What is said of work that is not open is ignored.
    void deliver(const wire::StepOutput& step);
    void deliver(wire::ArtifactReport& report);
    /// The engine is gone: all end with kEngineDied.
    void end(const std::string& why);

    [[nodiscard]] std::size_t n_requests() const { return channels_.size(); }
    [[nodiscard]] bool empty() const { return channels_.empty() && orders_.empty(); }

  private:
    std::function<void(RequestId)> cancel_;
    RequestId next_id_ = 1;
    std::unordered_map<RequestId, std::shared_ptr<TokenStream::Channel>> channels_;
    std::uint64_t next_order_id_ = 1;
    std::unordered_map<std::uint64_t, std::shared_ptr<Order>> orders_;
};

}  // namespace sutazai::ipc
