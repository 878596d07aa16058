#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/generation.h"
#include "base/prompt_progress.h"

/// What is known of one request, from its arrival until after its end: what the log line, the metrics, the spans and
/// the page are made of. Plain values.
namespace sutazai::serve {

enum class Phase : std::uint8_t {
    kModel,       ///< waits for its model to be warm
    kQueue,       ///< waits in the engine, its preparation included; of another server's model: until its first token
    kPrompt,      ///< its prompt is being computed
    kGenerating,  ///< has its first token
    kEnded,
};
[[nodiscard]] const char* to_string(Phase phase);

enum class Operation : std::uint8_t { kChat, kCompletion, kEmbeddings, kRank, kRead };
/// As OpenTelemetry's conventions for generative AI name it, where they do: "chat", "text_completion", "embeddings".
[[nodiscard]] const char* to_string(Operation operation);
[[nodiscard]] Operation operation_of(const GenerationRequest& request);

/// "stop", or of what failed "queue_full" and so on, for logs and labels.
[[nodiscard]] const char* to_label(ErrorCode code);

struct RequestRecord {
    using Clock = std::chrono::steady_clock;

    std::uint64_t number = 0;      ///< 1, 2, ... as they came
    std::string id = {};           ///< what X-Request-Id says of it
    std::string traceparent = {};  ///< W3C's header, as it came; empty: none did
    std::string_view route = {};   ///< of the server's table; of a line of a batch empty
    Operation operation = Operation::kChat;
    std::string tenant = {};
    std::string model = {};     ///< the catalogue's name; until there is a lease, as it was asked for
    std::string upstream = {};  ///< the other server that has the model; empty: it is here
    bool background = false;    ///< nobody waits for it
    bool streams = false;
    std::size_t n_generations = 0;  ///< that make the answer together
    std::size_t n_ended = 0;        ///< of these
    int max_tokens = -1;            ///< of the first of them; -1: as the context allows
    float temperature = 0;          ///< of the same

    // When. What has not come yet is unset.
    std::chrono::system_clock::time_point arrived_at;
    Clock::time_point arrived;
    std::optional<Clock::time_point> leased = {};       ///< the model was warm
    std::optional<Clock::time_point> begun = {};        ///< a prompt was begun with
    std::optional<Clock::time_point> first_token = {};  ///< text came, or what else was asked for
    std::optional<Clock::time_point> last_token = {};
    std::optional<Clock::time_point> ended = {};

    // Over all generations.
    PromptProgress prompt = {};               ///< tokens summed up; `queued` of the one that waited longest
    std::uint32_t prompt_tokens = 0;          ///< as ended generations have it, else as far as `prompt` knows
    std::uint32_t cached_tokens = 0;          ///< of those
    std::uint32_t generated_tokens = 0;       ///< that have come
    std::uint32_t reasoning_tokens = 0;       ///< of ended generations
    Timings timings = {};                     ///< the engine's, of the generation that took longest
    std::optional<FinishReason> finish = {};  ///< of the last that ended
    std::optional<ErrorCode> error = {};      ///< kCancelled: the client went away

    [[nodiscard]] Phase phase() const;
    /// "stop", "length", "tool_calls", "cancelled", or what to_label() says of the error. Empty while it is open.
    [[nodiscard]] const char* outcome() const;
};

}  // namespace sutazai::serve
