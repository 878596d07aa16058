#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sutazai::ipc {

/// How an engine is started and what it is told to load. Mirrors wire::Load.
struct EngineOptions {
    std::string executable;         ///< path of the sutazai binary; run as `sutazai engine --fd N`
    std::string model_name;         ///< for log lines and error messages
    std::string path;               ///< GGUF file
    std::string projector = {};     ///< GGUF file that makes rows of the model out of images; empty: it sees none
    std::string architecture = {};  ///< what the file is said to hold, when that is known
    std::uint32_t vocabulary = 0;   ///< tokens; 0: not known
    std::uint32_t context_tokens = 0;
    std::uint32_t batch_size = 8;
    std::uint32_t batch_size_max = 32;
    std::uint32_t batch_tokens = 2048;
    std::uint32_t threads = 0;
    bool gpu = true;
    bool warmup = true;
    std::uint32_t batch_timeout_ms = 100;
    std::uint32_t max_queue = 512;
    std::uint32_t queue_timeout_ms = 0;  ///< 0: requests wait for ever
    std::uint32_t token_gap_ms = 50;
    bool prefix_sharing = true;
    std::string kv_type;            ///< one of kKvTypes; empty: the default one
    std::string own_template = {};  ///< Jinja, or llama.cpp's name of one, in place of the file's; empty: none
    std::string chat_template;      ///< a name or text that llama.cpp knows, for files without; empty: none
    std::string renderer = {};      ///< Ollama's code for this model's chats, for who hears that there is no template
    bool control_tokens_in_messages = false;  ///< a message's text may become control tokens
    std::uint64_t prefix_cache_bytes = 0;
    std::uint64_t adapter_bytes = 0;  ///< memory for adapters at most
    std::string artifacts_dir;        ///< empty: no artifacts
    std::uint64_t artifact_bytes = 0;
    std::uint32_t artifact_retention_days = 7;
    /// Engines whose weights this one may start from; mirrors llama::LoadOptions::Sibling.
    struct Sibling {
        int pid = 0;
        int fd = -1;
        std::string model;
    };
    bool share_weights = false;
    std::vector<Sibling> siblings = {};
    std::chrono::milliseconds load_timeout{300'000};
    std::chrono::milliseconds stall_timeout{60'000};  ///< an engine that gets no further for so long is ended; 0: never
    std::vector<std::string> arguments = {};          ///< of the command line, after --fd N
};

/// What the engine said of the loaded model.
struct ModelInfo {
    std::uint32_t context_tokens = 0;        ///< KV cells in all
    std::uint32_t context_per_sequence = 0;  ///< tokens that one request can hold
    std::uint32_t training_context = 0;
    std::uint64_t weights_bytes = 0;
    std::uint64_t parameters = 0;
    std::string description;
    bool on_gpu = false;
    bool has_chat_template = false;
    bool knows_tools = false;  ///< its chat template does
    bool thinks = false;       ///< before it answers, and its chat template tells how
    bool sees = false;         ///< it takes images
    std::chrono::microseconds load_time{0};
    std::uint64_t untouched_bytes = 0;  ///< memory that it has not touched yet and will grow by in use
    struct SharedWeights {
        int fd = -1;              ///< of the engine process; -1: it has no weights that others could start from
        std::uint64_t id = 0;     ///< of that memory, the same in all engines that use it
        std::uint64_t bytes = 0;  ///< of it, those that this engine uses
        std::string sibling;      ///< the model that they were taken from; empty: this one made them
    } shared = {};
};

/// How far a load has come.
struct LoadProgress {
    float fraction = 0;    ///< of the weights, 0 to 1
    bool warming = false;  ///< they are there; the warm-up runs
};

}  // namespace sutazai::ipc
