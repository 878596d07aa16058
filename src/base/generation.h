#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/image.h"

/// The values that travel with one generation: what is asked (GenerationRequest) and what comes back
/// (GenerationUpdate). Plain data, shared by the API families, the engine client and the engine. No thread or lifetime
/// of their own.
namespace sutazai {

/// Unique within one server process; 0 is never used.
using RequestId = std::uint64_t;

enum class Role : std::uint8_t { kSystem, kDeveloper, kUser, kAssistant, kTool };

[[nodiscard]] constexpr const char* to_string(Role role) {
    switch (role) {
        case Role::kSystem: return "system";
        case Role::kDeveloper: return "developer";
        case Role::kUser: return "user";
        case Role::kAssistant: return "assistant";
        case Role::kTool: return "tool";
    }
    return "user";
}

/// A part of what a message says: text, or an image.
struct ContentPart {
    std::string text = {};   ///< UTF-8
    SharedImage image = {};  ///< null: the part is its text; else that is empty

    bool operator==(const ContentPart& other) const {
        if ((image == nullptr) != (other.image == nullptr)) return false;
        return text == other.text && (image == nullptr || *image == *other.image);
    }
};

/// A function that the assistant wants to be called.
struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  ///< JSON, an object

    bool operator==(const ToolCall&) const = default;
};

struct ChatMessage {
    Role role = Role::kUser;
    std::vector<ContentPart> content = {};
    std::string name = {};                  ///< of who speaks, or of the tool that answers; may be empty
    std::string reasoning = {};             ///< kAssistant: what it thought before it spoke
    std::vector<ToolCall> tool_calls = {};  ///< kAssistant
    std::string tool_call_id = {};          ///< kTool: the call that this is the answer to

    bool operator==(const ChatMessage&) const = default;
};

[[nodiscard]] inline ChatMessage text_message(Role role, std::string text) {
    ChatMessage message{.role = role};
    message.content.push_back({std::move(text)});
    return message;
}

/// The images of the messages, in order.
struct Chat;
[[nodiscard]] std::vector<SharedImage> images_of(const Chat& chat);

/// What the model is to write behind the messages.
enum class Turn : std::uint8_t {
    kNew,       ///< a message of the assistant
    kContinue,  ///< the rest of the last message
    kOpen,      ///< whatever comes: the template does not begin an answer
};

/// A function that the assistant may ask for.
struct Tool {
    std::string name;
    std::string description = {};
    std::string parameters = {};  ///< JSON Schema of its arguments, an object; empty: it takes none
    bool strict = false;          ///< arguments keep to the schema, which they do here in any case

    bool operator==(const Tool&) const = default;
};

enum class ToolChoice : std::uint8_t {
    kAuto,
    kNone,      ///< the assistant knows of the tools, and calls none
    kRequired,  ///< it calls one, or the one that is named
};

/// How the assistant is to think before it speaks, if it can.
struct Reasoning {
    std::optional<bool> wanted = {};  ///< unset: as the model does by itself
    std::string effort = {};          ///< a word of the model's template: "low", "medium", "high"
    int budget_tokens = -1;           ///< it ends after so many; -1: where the model ends it
    bool apart = true;                ///< it is told apart from the answer

    bool operator==(const Reasoning&) const = default;
};

struct Chat {
    std::vector<ChatMessage> messages = {};
    Turn turn = Turn::kNew;
    std::vector<Tool> tools = {};
    ToolChoice tool_choice = ToolChoice::kAuto;
    std::string named_tool = {};  ///< kRequired: this one; empty: any
    bool parallel_tool_calls = true;
    Reasoning reasoning = {};
    std::string template_arguments = {};  ///< JSON, an object: more names that the chat template knows; may be empty

    bool operator==(const Chat&) const = default;
};

/// A gap in a text, which the model is to fill.
struct Infill {
    /// Another file, or a part of one, that the text has to do with.
    struct File {
        std::string name = {};
        std::string text = {};

        bool operator==(const File&) const = default;
    };
    std::string prefix = {};
    std::string suffix = {};
    std::string begun = {};        ///< what stands in the gap already
    std::vector<File> files = {};  ///< the most important last
    bool trims = false;            ///< what does not fit loses what is furthest from the gap

    bool operator==(const Infill&) const = default;
};

/// A text that is to be tokenised and no more (Task::kRead).
struct BareText {
    std::string text = {};
    bool around = false;  ///< with the tokens that the model wants in front of and behind a text
    bool special = true;  ///< names of control tokens are those tokens

    bool operator==(const BareText&) const = default;
};

/// A question, and a text that may answer it (Task::kRank).
struct RankedPair {
    std::string query = {};
    std::string document = {};

    bool operator==(const RankedPair&) const = default;
};

/// What llama-server can do to a draw beyond the usual chain. Names, defaults and meanings are its own (tools/server of
/// llama.cpp); with the defaults nothing is done.
struct MoreSampling {
    int repeat_last_n = 64;       ///< tokens that the penalties look at, 0 to kMostPenaltyWindow
    float top_n_sigma = -1;       ///< <= 0 is off
    float typical_p = 1;          ///< (0, 1]; 1 is off
    float xtc_probability = 0;    ///< [0, 1]; 0 is off
    float xtc_threshold = 0.1F;   ///< [0, 1]
    float dynatemp_range = 0;     ///< [0, 2]; 0 is off
    float dynatemp_exponent = 1;  ///< [0, 10]
    float dry_multiplier = 0;     ///< [0, 10]; 0 is off
    float dry_base = 1.75F;       ///< [1, 10]
    int dry_allowed_length = 2;   ///< tokens
    int dry_penalty_last_n = 64;  ///< tokens that are scanned, 0 to kMostPenaltyWindow
    std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
    int mirostat = 0;           ///< 1 or 2: that in place of everything but penalties; 0 is off
    float mirostat_tau = 5;     ///< [0, 20]
    float mirostat_eta = 0.1F;  ///< [0, 1]
    int min_keep = 0;           ///< candidates that are left at least
    std::vector<std::string> samplers =
        {};  ///< of kSamplerNames, in the order in which they are applied; empty: all but infill

    bool operator==(const MoreSampling&) const = default;
};
inline constexpr int kMostPenaltyWindow = 65536;
inline constexpr std::array<std::string_view, 10> kSamplerNames{
    "penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature", "infill"};

/// Added to a token's logit before anything else; minus infinity rules it out.
struct LogitBias {
    std::int32_t token = 0;
    float bias = 0;

    bool operator==(const LogitBias&) const = default;
};
inline constexpr std::size_t kMostLogitBiases = 300;

/// How the next token is chosen. Defaults and meanings are llama.cpp's; the chain is applied in this order:
/// biases, penalties, top_k, top_p, min_p, temperature, draw.
struct SamplingParams {
    float temperature = 0.8F;           ///< [0, 2]; 0 takes the most likely token
    int top_k = 40;                     ///< >= 0; 0 keeps all
    float top_p = 0.95F;                ///< (0, 1]; 1 keeps all
    float min_p = 0.05F;                ///< [0, 1]; 0 keeps all
    float repeat_penalty = 1.0F;        ///< (0, 2]; 1 is off; applies to the last kPenaltyWindow tokens
    float presence_penalty = 0.0F;      ///< [-2, 2]
    float frequency_penalty = 0.0F;     ///< [-2, 2]
    std::optional<std::uint64_t> seed;  ///< same seed, same request, same batch company: same answer. Random when unset
    std::vector<LogitBias> logit_bias = {};  ///< at most kMostLogitBiases
    std::optional<MoreSampling> more = {};   ///< another chain than the above

    bool operator==(const SamplingParams&) const = default;
};
inline constexpr int kPenaltyWindowTokens = 64;
/// Does `more` change anything?
[[nodiscard]] bool changes_chain(const SamplingParams& params);
/// How many of the last tokens can count for the next one.
[[nodiscard]] std::size_t penalty_window(const SamplingParams& params);

/// What a request wants of its model.
enum class Task : std::uint8_t {
    kGenerate,
    kEmbed,  ///< one vector for the prompt; of the other fields only priority and cache_salt count
    kRank,   ///< how well a text answers a question; like kEmbed in all else, and the vector is one number
    kRead,   ///< what the model reads: the prompt's text and its tokens; nothing is computed
};

/// Fields that whoever asks has set himself. For the others a model may have defaults of its own, which count as set
/// once they are applied.
struct GivenFields {
    bool temperature = false;
    bool top_k = false;
    bool top_p = false;
    bool min_p = false;
    bool repeat_penalty = false;
    bool presence_penalty = false;
    bool frequency_penalty = false;
    bool seed = false;
    bool max_tokens = false;
    bool stop = false;
    bool adapters = false;

    bool operator==(const GivenFields&) const = default;
};

/// A low-rank adapter (LoRA) and how much of it is added to the model.
struct AdapterChoice {
    std::string name;       ///< for messages
    std::string path = {};  ///< of the file, in GGUF; from the catalogue, never from a client
    float scale = 1;        ///< -kMostAdapterScale to kMostAdapterScale

    bool operator==(const AdapterChoice&) const = default;
};
inline constexpr float kMostAdapterScale = 10;

struct GenerationRequest {
    /// A chat is rendered by the model's template on the engine's preparation thread; a string is tokenised as it is;
    /// token ids are taken as they are; what is around a gap goes between the tokens that the model has for that.
    std::variant<Chat, std::string, std::vector<std::int32_t>, Infill, BareText, RankedPair> prompt;
    std::string chat_template = {};          ///< Go's, for a chat, in place of the model's; empty: the model's
    std::vector<std::int32_t> context = {};  ///< tokens of what was said before, in front of the prompt
    /// A chat that is too long loses its oldest messages, the system's aside; kEmbed: a text its end.
    bool truncate = false;
    SamplingParams sampling;
    int max_tokens = -1;            ///< > 0, or -1: until the context is full; 0 (with echo): the prompt alone
    std::vector<std::string> stop;  ///< generation ends before the first of these; they are never sent
    int least_indent = 0;           ///< characters of white space that each new line has, or it is the end; 0: any
    std::chrono::milliseconds most_time{0};  ///< after the first token; then the line is the last. 0: any
    bool ignore_eos = false;                 ///< go on past the end-of-generation token (for benchmarks)
    int priority = 0;                        ///< lower runs first
    std::string cache_salt;  ///< prefixes are shared only between requests of one salt (a tenant); may be empty
    /// Answers to the prompt, 1 to kMaxChoices. A choice i has the seed `sampling.seed` + i, if that is set.
    int n = 1;
    Task task = Task::kGenerate;
    int top_logprobs = -1;        ///< 0 to kMaxTopLogprobs: score each token and name as many alternatives; -1: none
    bool returns_tokens = false;  ///< Finished has the tokens, too
    /// The text begins with the prompt's; scores, if asked for, with those of its tokens. kRead: the scores name the
    /// bytes of each token.
    bool echo = false;
    std::string grammar;      ///< GBNF that the text must follow; empty: none
    std::string json_schema;  ///< JSON Schema that the text must follow; empty: none. At most one of the two is set
    bool grammar_is_of_tools = false;  ///< the engine's own doing: `grammar` is what calls of the tools look like
    std::vector<AdapterChoice> adapters = {};  ///< none: the model as it is
    // These stay in the server.
    GivenFields given = {};
    std::uint32_t context_tokens = 0;  ///< that are to fit; 0: whatever there is
    std::string via = {};              ///< servers that it came through, as in HTTP's header

    bool operator==(const GenerationRequest&) const = default;
};

inline constexpr int kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxReadTokens = std::size_t{1} << 20;  ///< of a prompt of kRead
inline constexpr int kMaxChoices = 128;

enum class FinishReason : std::uint8_t {
    kStop,
    kLength,
    kCancelled,
    kToolCalls,  ///< the assistant waits for what its calls give
};

[[nodiscard]] constexpr const char* to_string(FinishReason reason) {
    switch (reason) {
        case FinishReason::kStop: return "stop";
        case FinishReason::kLength: return "length";
        case FinishReason::kCancelled: return "cancelled";
        case FinishReason::kToolCalls: return "tool_calls";
    }
    return "stop";
}

struct Usage {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t completion_tokens = 0;
    std::uint32_t cached_tokens = 0;     ///< prompt tokens whose KV was reused rather than computed
    std::uint32_t reasoning_tokens = 0;  ///< of completion_tokens, those of what it thought

    bool operator==(const Usage&) const = default;
};

/// Where one request's time went, measured in the engine on its monotonic clock.
struct Timings {
    std::chrono::microseconds queued{0};   ///< submit until its first prefill step began
    std::chrono::microseconds prefill{0};  ///< from there until its first token
    std::chrono::microseconds decode{0};   ///< from its first token until its last

    bool operator==(const Timings&) const = default;
};

struct Finished {
    FinishReason reason = FinishReason::kStop;
    Usage usage;
    Timings timings;
    std::string stop = {};  ///< the stop string that ended it; empty: none did
    /// For requests that ask, and of kRead: of prompt and answer, without the one that ended it.
    std::vector<std::int32_t> tokens = {};

    bool operator==(const Finished&) const = default;
};

/// One token as the model sees it: the log-probability is log-softmax of the logits, before any sampling setting.
struct TokenChance {
    std::string piece;  ///< its bytes, which may be a part of a character
    float logprob = 0;

    bool operator==(const TokenChance&) const = default;
};

struct TokenScore {
    TokenChance token;
    std::vector<TokenChance> top;  ///< the most likely ones at its place, best first
    bool scored = true;            ///< false for the first token of a prompt, which nothing comes before

    bool operator==(const TokenScore&) const = default;
};

/// More of one tool call.
struct ToolCallDelta {
    std::uint32_t index = 0;     ///< of the call within its message
    std::string id = {};         ///< comes once, with the first delta of a call, as the name does
    std::string name = {};       ///< of the function
    std::string arguments = {};  ///< more of their JSON; whole UTF-8 characters

    bool operator==(const ToolCallDelta&) const = default;
};

/// What was added to the assistant's message. All texts are whole UTF-8 characters.
struct Delta {
    std::string content = {};    ///< of a completion, its text
    std::string reasoning = {};  ///< what it thought before that
    std::vector<ToolCallDelta> tool_calls = {};

    bool operator==(const Delta&) const = default;
    [[nodiscard]] bool empty() const { return content.empty() && reasoning.empty() && tool_calls.empty(); }
    /// Bytes of its texts.
    [[nodiscard]] std::size_t text_bytes() const;
    /// What came after it, of the same message.
    void append(Delta more);
};

/// What one or more decode steps added to one request. At most one of `finished` and `error` is set; then it is the
/// last.
struct GenerationUpdate {
    Delta delta;                     ///< may be empty
    std::uint32_t n_tokens = 0;      ///< tokens generated since the last update
    std::vector<TokenScore> scores;  ///< of the tokens whose text is out now; only for requests that ask
    std::vector<float> embedding;    ///< Task::kEmbed: the vector, of length 1; Task::kRank: the score
    std::optional<Finished> finished;
    std::optional<Error> error;

    [[nodiscard]] bool last() const { return finished.has_value() || error.has_value(); }
};

}  // namespace sutazai
