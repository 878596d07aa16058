#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/choice.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"

/// POST /api/v1/streaming/batch/process: many requests in one, answered together. Pure.
namespace sutazai::api::batch {

inline constexpr int kMaxBatchSize = 256;

struct BatchRequest {
    std::string model;              ///< empty: the server's default
    std::optional<int> batch_size;  ///< how many run at once; unset: the server's BATCH_SIZE
    std::optional<KeepAlive> keep_alive;
    /// What each entry of `requests` asks for, or what is wrong with it: that entry fails alone. A prompt is a string
    /// here; models with a chat template get it as a user's message (as_chat()).
    std::vector<Result<GenerationRequest>> items;
};

/// The body. Sampling fields beside `requests` are the defaults of its entries. What is wrong beside the entries fails
/// the whole: no `requests` or more than `max_requests`, values out of range, `stream`.
[[nodiscard]] Result<BatchRequest> parse(std::string_view body, std::size_t max_requests);

/// Turns a prompt into the chat of one user's message.
void as_chat(GenerationRequest& request);

/// The order in which to run them: by priority, and within one so that those whose prompts begin alike come one after
/// the other. Indices of the items that are no errors.
[[nodiscard]] std::vector<std::size_t> sharing_order(std::span<const Result<GenerationRequest>> items);

/// Makes "batch_YYYYMMDD_HHMMSS" (UTC) of the time, with "_2", "_3" and so on behind it for more in one second. Never
/// gives one twice: while the clock is behind the latest one, that second goes on.
class BatchIds {
  public:
    [[nodiscard]] std::string next(std::chrono::system_clock::time_point now);

  private:
    std::chrono::sys_seconds latest_{};
    int n_in_second_ = 0;
};

/// {"batch_id","model","total_requests","batch_size","success_rate","results":[...],"usage"}; results are in the order
/// of the requests.
[[nodiscard]] std::string encode(std::string_view id, std::string_view model, int batch_size,
                                 std::span<const Result<Choice>> results);

}  // namespace sutazai::api::batch
