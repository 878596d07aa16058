#include "ipc/step_frames.h"

#include <algorithm>
#include <string_view>

#include "ipc/frame.h"
#include "ipc/wire.h"

namespace sutazai::ipc {
namespace {

constexpr std::size_t kMostCharacterBytes = 4;
constexpr std::size_t kFieldBytes = 16;  // a number or the head of a string, with room to spare

std::size_t bytes_of(const TokenScore& score) {
    std::size_t bytes = 2 * kFieldBytes + score.token.piece.size();
    for (const TokenChance& chance : score.top) bytes += 2 * kFieldBytes + chance.piece.size();
    return bytes;
}

std::size_t bytes_of(const GenerationUpdate& update) {
    std::size_t bytes = 5 * kFieldBytes + update.delta.text_bytes() + update.embedding.size() * sizeof(float);
    bytes += update.delta.tool_calls.size() * 5 * kFieldBytes;
    for (const TokenScore& score : update.scores) bytes += bytes_of(score);
    return bytes;
}

/// Where to cut a text of whole UTF-8 characters that is longer than `n`, at most there.
std::size_t cut_before(std::string_view text, std::size_t n) {
    std::size_t at = n;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
    return at > 0 ? at : n;
}

/// All of an update but its end, in parts of about `usual` bytes.
std::vector<GenerationUpdate> parts_of(GenerationUpdate& update, std::size_t usual) {
    std::vector<GenerationUpdate> parts(1);
    parts[0].n_tokens = update.n_tokens;
    parts[0].embedding = std::move(update.embedding);
    const std::size_t most_text = usual > 16 * kFieldBytes ? usual - 10 * kFieldBytes : usual;
    // Each of `text` to where `place` says that it belongs in a part: as many parts as it takes, the last with room.
    const auto spread = [&](std::string_view text, auto place) {
        while (!text.empty()) {
            const std::size_t used = parts.back().delta.text_bytes();
            const std::size_t room = most_text - std::min(used, most_text);
            if (used > 0 && text.size() > room && room < kMostCharacterBytes) {
                parts.emplace_back();
                continue;
            }
            const std::size_t at = text.size() <= room ? text.size() : cut_before(text, room);
            place(parts.back().delta) += text.substr(0, at);
            text.remove_prefix(at);
        }
    };
    spread(update.delta.reasoning, [](Delta& delta) -> std::string& { return delta.reasoning; });
    spread(update.delta.content, [](Delta& delta) -> std::string& { return delta.content; });
    for (ToolCallDelta& call : update.delta.tool_calls) {
        parts.emplace_back().delta.tool_calls.push_back({call.index, std::move(call.id), std::move(call.name)});
        spread(call.arguments, [&call](Delta& delta) -> std::string& {
            if (delta.tool_calls.empty()) delta.tool_calls.push_back({.index = call.index});
            return delta.tool_calls.back().arguments;
        });
    }
    std::size_t bytes = bytes_of(parts.back());
    for (TokenScore& score : update.scores) {
        const std::size_t of_score = bytes_of(score);
        if (bytes + of_score > usual && bytes > bytes_of(GenerationUpdate())) {
            parts.emplace_back();
            bytes = bytes_of(parts.back());
        }
        bytes += of_score;
        parts.back().scores.push_back(std::move(score));
    }
    return parts;
}

/// Nothing but content.
bool is_plain(const GenerationUpdate& update) {
    return update.scores.empty() && update.embedding.empty() && update.delta.reasoning.empty() &&
           update.delta.tool_calls.empty();
}

class Writer {
  public:
    explicit Writer(const StepFrames::Limits& limits) : limits_(limits) { begin(); }

    void add(RequestId id, GenerationUpdate update) {
        if (std::string& content = update.delta.content; is_plain(update) && content.size() <= limits_.usual_bytes) {
            if (!content.empty() || update.n_tokens > 0) {
                wire::Delta& delta = *room_for(4 * kFieldBytes + content.size()).add_deltas();
                delta.set_request_id(id);
                delta.set_content(std::move(content));
                delta.set_n_tokens(update.n_tokens);
            }
        } else {
            for (const GenerationUpdate& part : parts_of(update, limits_.usual_bytes)) {
                const std::size_t bytes = bytes_of(part);
                if (bytes > limits_.most_bytes) return fail(id);
                *room_for(bytes).add_deltas() = to_wire(id, part);
            }
        }
        if (update.finished) *room_for(8 * kFieldBytes).add_finished() = to_wire(id, *update.finished);
        if (update.error) {
            const std::size_t bytes = 4 * kFieldBytes + update.error->message.size() + update.error->field.size();
            if (bytes > limits_.most_bytes) return fail(id);
            *room_for(bytes).add_failed() = to_wire(id, std::move(*update.error));
        }
    }

    StepFrames take(const wire::Stats* stats) {
        if (stats != nullptr) *out_.messages.back().mutable_step()->mutable_stats() = *stats;
        return std::move(out_);
    }

  private:
    void begin() {
        out_.messages.emplace_back().mutable_step();
        bytes_ = 0;
    }
    /// The message that takes so much more.
    wire::StepOutput& room_for(std::size_t bytes) {
        if (bytes_ > 0 && bytes_ + bytes > limits_.usual_bytes) begin();
        bytes_ += bytes;
        return *out_.messages.back().mutable_step();
    }
    void fail(RequestId id) {
        *room_for(8 * kFieldBytes).add_failed() =
            to_wire(id, Error{ErrorCode::kInternal, "a part of the answer is too large to be sent"});
        out_.failed.push_back(id);
    }

    StepFrames::Limits limits_;
    StepFrames out_;
    std::size_t bytes_ = 0;  // of the last message, about
};

}  // namespace

const StepFrames::Limits StepFrames::kLimits{std::size_t{1} << 20, kMaxFrameBytes - (std::size_t{1} << 20)};

StepFrames step_frames(std::vector<std::pair<RequestId, GenerationUpdate>> updates, const wire::Stats* stats,
                       const StepFrames::Limits& limits) {
    Writer writer(limits);
    for (auto& [id, update] : updates) writer.add(id, std::move(update));
    return writer.take(stats);
}

}  // namespace sutazai::ipc
