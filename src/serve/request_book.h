#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "ipc/token_stream.h"
#include "models/lease.h"
#include "serve/caller.h"
#include "serve/generations.h"
#include "serve/request_metrics.h"
#include "serve/request_record.h"

namespace sutazai::serve {

class OpenRequest;

/// The requests that are open, and the last of those that have ended. On the I/O thread.
class RequestBook {
  public:
    static constexpr std::size_t kMostEnded = 1024;

    explicit RequestBook(const config::Settings& settings) : settings_(settings) {}
    RequestBook(const RequestBook&) = delete;
    RequestBook& operator=(const RequestBook&) = delete;

    /// In the order in which they came. Nothing here outlives the next turn of the I/O loop.
    [[nodiscard]] const std::list<RequestRecord>& open() const { return open_; }
    /// Oldest first; empty when PERFORMANCE_MONITORING is off.
    [[nodiscard]] const std::deque<RequestRecord>& ended() const { return ended_; }
    [[nodiscard]] const RequestMetrics& metrics() const { return metrics_; }  ///< empty when that is off
    /// How many of the open ones have come before this one and wait in the queue of the same model.
    [[nodiscard]] std::size_t ahead_of(const RequestRecord& record) const;
    /// So far. Of ended() the last is the number n_ended() of those that ended.
    [[nodiscard]] std::uint64_t n_begun() const { return n_begun_; }
    [[nodiscard]] std::uint64_t n_ended() const { return n_ended_; }

    /// Called with each request that ends, at once.
    std::function<void(const RequestRecord&)> on_end = {};

  private:
    friend class OpenRequest;
    const config::Settings& settings_;
    std::list<RequestRecord> open_;
    std::deque<RequestRecord> ended_;
    RequestMetrics metrics_;
    std::uint64_t n_begun_ = 0;
    std::uint64_t n_ended_ = 0;
};

/// One request while it runs, and who fills in its record. Destroyed without an end() it counts as cancelled. Outlives
/// the generations that it listens to. Writes a line to the log at its end.
class OpenRequest {
  public:
    /// Of a request for `n_generations`, of which `first` is the first, before any of them is submitted.
    OpenRequest(RequestBook& book, const Caller& caller, std::string model, const GenerationRequest& first,
                std::size_t n_generations, bool streams = false);
    OpenRequest(const OpenRequest&) = delete;
    OpenRequest& operator=(const OpenRequest&) = delete;
    ~OpenRequest();

    void leased(const models::Lease& lease);
    /// Listens to these: their prompts, and what read_all() takes of them.
    void listen_to(Generations& generations);
    void take(std::span<const Generations::Event> events);
    void end(const Error* error);
    template <typename T>
    void end(const Result<T>& result) {
        end(result ? nullptr : &result.error());
    }

    [[nodiscard]] const RequestRecord& record() const { return *record_; }

  private:
    /// Of one generation.
    struct One {
        PromptProgress prompt = {};
        bool has_ended = false;
        std::optional<RequestRecord::Clock::time_point> last_text = {};
    };
    void note_prompt(std::size_t index, const PromptProgress& progress);
    void note_end(const Finished& finished);
    void measure_end();
    void log_line() const;

    RequestBook& book_;
    std::list<RequestRecord>::iterator record_;
    std::vector<One> ones_;
    ModelMetrics* metrics_ = nullptr;  // null: nothing is measured
};

}  // namespace sutazai::serve
