#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// OpenAI's /v1/batches: orders, what is said of a batch, and the lines of its files. Pure.
namespace sutazai::api::openai {

/// What a line's body is given to.
enum class BatchEndpoint : std::uint8_t { kChat, kCompletions, kEmbeddings, kResponses };
[[nodiscard]] std::string_view to_string(BatchEndpoint endpoint);  ///< "/v1/chat/completions"
[[nodiscard]] std::optional<BatchEndpoint> batch_endpoint(std::string_view url);

/// In the order in which a batch goes through them; failed, expired and cancelled are ends.
enum class BatchStatus : std::uint8_t {
    kValidating,
    kInProgress,
    kFinalizing,
    kCompleted,
    kFailed,
    kExpired,
    kCancelling,
    kCancelled,
};
[[nodiscard]] std::string_view to_string(BatchStatus status);
[[nodiscard]] constexpr bool has_ended(BatchStatus status) {
    return status == BatchStatus::kCompleted || status == BatchStatus::kFailed || status == BatchStatus::kExpired ||
           status == BatchStatus::kCancelled;
}

/// What is wrong with an input file.
struct BatchError {
    std::string code;     ///< "invalid_json_line"
    std::string message;  ///< never holds anything of the line but names of its fields
    std::string param = {};
    std::int64_t line = 0;  ///< from 1; 0: of no line

    bool operator==(const BatchError&) const = default;
};
[[nodiscard]] std::string encode_batch_errors(std::span<const BatchError> errors);  ///< {"object":"list","data":[...]}

struct BatchCounts {
    std::int64_t total = 0;
    std::int64_t completed = 0;
    std::int64_t failed = 0;

    [[nodiscard]] std::int64_t open() const { return total - completed - failed; }
    bool operator==(const BatchCounts&) const = default;
};

/// Tokens of answers.
struct BatchUsage {
    std::int64_t input = 0;
    std::int64_t cached = 0;  ///< of input
    std::int64_t output = 0;
    std::int64_t reasoning = 0;  ///< of output

    void add(const BatchUsage& other);
    bool operator==(const BatchUsage&) const = default;
};
/// Of an answer's JSON: its last member "usage". Zeros where there is none.
[[nodiscard]] BatchUsage usage_of_answer(std::string_view body);

/// What a client is told. Times are seconds of Unix, 0 where there is none yet.
struct BatchObject {
    std::string id;  ///< "batch_..."
    std::string endpoint;
    std::string completion_window;
    std::string input_file_id;
    std::string output_file_id;  ///< empty: none
    std::string error_file_id;
    std::string model;     ///< of all lines; empty when they differ, or are not known yet
    std::string metadata;  ///< JSON, an object; empty: null
    std::string errors;    ///< encode_batch_errors(); empty: null
    BatchStatus status = BatchStatus::kValidating;
    std::int64_t created_at = 0, in_progress_at = 0, expires_at = 0, finalizing_at = 0, completed_at = 0, failed_at = 0,
                 expired_at = 0, cancelling_at = 0, cancelled_at = 0;
    BatchCounts counts;
    BatchUsage usage;

    bool operator==(const BatchObject&) const = default;
};
[[nodiscard]] std::string encode_batch(const BatchObject& batch);
[[nodiscard]] std::string encode_batches(std::span<const BatchObject> batches, bool has_more);

/// The body of POST /v1/batches.
struct BatchOrder {
    std::string input_file_id;
    BatchEndpoint endpoint = BatchEndpoint::kChat;
    std::string completion_window;            ///< as it was sent: "24h"
    std::int64_t window_s = 0;                ///< 1 second to 30 days
    std::string metadata;                     ///< JSON, an object; empty: none
    std::int64_t output_expires_after_s = 0;  ///< 0: as the server has it
};
[[nodiscard]] Result<BatchOrder> parse_batch_order(std::string_view body);

/// A line of an input file.
struct BatchLine {
    std::string custom_id;
    std::string model;  ///< empty: the server's default
    /// Lines whose prompts begin alike have keys that begin alike, so that sorting by it puts them one behind the
    /// other. Of hashes over ever longer beginnings: it tells nothing of the prompt and is at most 48 bytes.
    std::string sort_key;
};
inline constexpr std::size_t kMostCustomIdBytes = 512;
/// The error has no line number.
[[nodiscard]] std::expected<BatchLine, BatchError> parse_batch_line(std::string_view line, BatchEndpoint endpoint);
/// The body of a line that parse_batch_line() has taken, as JSON.
[[nodiscard]] Result<std::string> body_of_line(std::string_view line);

/// A line of an output or error file, with its end. `body` is JSON.
struct LineIds {
    std::string id;  ///< "batch_req_..."
    std::string request_id;
    std::string custom_id;
};
[[nodiscard]] std::string encode_answer_line(const LineIds& ids, unsigned status, std::string_view body);
/// Of a line that was never answered.
[[nodiscard]] std::string encode_unanswered_line(const LineIds& ids, std::string_view code, std::string_view message);

}  // namespace sutazai::api::openai
