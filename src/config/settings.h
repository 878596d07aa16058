#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/error.h"
#include "base/upstream_address.h"

/// Every setting, read once at start: flags > environment > .env > defaults. Constant afterwards.
namespace sutazai::config {

enum class LogFormat : std::uint8_t { kText, kJson };

/// For folders that are not to be looked into.
inline constexpr std::string_view kOff = "off";

/// The values. The comment of each is its name in the environment, its unit and its range.
struct Settings {
    // The specification's names.
    bool advanced_caching_enabled = true;       ///< ADVANCED_CACHING_ENABLED; false keeps one model warm at a time
    std::uint32_t batch_size = 8;               ///< BATCH_SIZE, sequences decoded together, 1 to 256
    std::uint32_t batch_size_max = 32;          ///< BATCH_SIZE_MAX, what the batch may grow to under load, 1 to 256
    std::uint32_t batch_timeout_ms = 100;       ///< BATCH_TIMEOUT_MS, 0 to 10000
    bool streaming_enabled = true;              ///< STREAMING_ENABLED; false refuses stream requests
    bool gpu_acceleration = true;               ///< GPU_ACCELERATION
    std::uint32_t model_cache_size = 3;         ///< MODEL_CACHE_SIZE, warm models, 1 to 64
    std::uint64_t model_cache_bytes = 0;        ///< MODEL_CACHE_BYTES; 0: four fifths of what the machine allows
    KeepAlive model_keep_alive = kKeepForEver;  ///< MODEL_KEEP_ALIVE, for requests that do not say; negative: for ever
    bool cache_warmup_on_startup = true;        ///< CACHE_WARMUP_ON_STARTUP
    std::uint32_t standby_engines = 1;          ///< STANDBY_ENGINES, processes without a model, 0 to 16
    std::uint32_t cache_artifact_retention_days = 7;  ///< CACHE_ARTIFACT_RETENTION_DAYS, 0 to 3650
    std::string cache_artifacts_dir;                  ///< CACHE_ARTIFACTS_DIR; default <home>/artifacts
    std::uint64_t cache_artifact_bytes = 8ULL << 30;  ///< CACHE_ARTIFACT_BYTES, 0 to 1 PiB; 0 switches artifacts off
    bool performance_monitoring = true;               ///< PERFORMANCE_MONITORING
    bool metrics_vllm_names = false;                  ///< METRICS_VLLM_NAMES

    // The server.
    std::string host = "127.0.0.1";           ///< HOST
    std::uint16_t port = 8080;                ///< PORT; 0 takes a free one and prints it
    std::uint16_t ollama_compat_port = 0;     ///< OLLAMA_COMPAT_PORT; 0: none
    std::string log_level = "info";           ///< LOG_LEVEL: trace, debug, info, warn, error
    LogFormat log_format = LogFormat::kText;  ///< LOG_FORMAT: text, json
    bool log_prompts = false;                 ///< LOG_PROMPTS
    std::string otlp_endpoint;                ///< OTLP_ENDPOINT, an http or https URL; empty: no spans
    std::string home;                   ///< SUTAZAI_HOME; default $XDG_DATA_HOME/sutazai or ~/.local/share/sutazai
    std::vector<std::string> api_keys;  ///< API_KEYS, comma separated
    std::vector<std::string> admin_api_keys;   ///< ADMIN_API_KEYS, the same; no key is asked for when both are empty
    std::vector<std::string> allowed_origins;  ///< ALLOWED_ORIGINS, comma separated, for CORS
    std::vector<std::string> allowed_hosts;    ///< ALLOWED_HOSTS, comma separated, beside loopback names and HOST

    // Limits.
    std::uint64_t max_body_bytes = 8 << 20;     ///< MAX_BODY_BYTES, 1 KiB to 256 MiB
    std::uint32_t max_header_bytes = 16 << 10;  ///< MAX_HEADER_BYTES, 1 KiB to 1 MiB
    std::uint64_t body_memory_bytes = 1 << 27;  ///< BODY_MEMORY_BYTES, of all that are not parsed, 1 MiB to 1 TiB
    std::uint32_t max_connections = 1024;       ///< MAX_CONNECTIONS, 1 to 65536
    std::uint32_t max_queue = 512;              ///< MAX_QUEUE, requests that wait per model, 1 to 65536
    std::uint32_t max_batch_requests = 1024;    ///< MAX_BATCH_REQUESTS, generations of one request, 1 to 65536
    std::uint32_t queue_timeout_s = 300;        ///< QUEUE_TIMEOUT_S, for a request to begin; 0: no limit, to 86400
    std::uint32_t read_timeout_s = 30;          ///< READ_TIMEOUT_S, for a request's head and body, 1 to 3600
    std::uint32_t idle_timeout_s = 75;          ///< IDLE_TIMEOUT_S, between requests of one connection, 1 to 3600
    std::uint32_t write_timeout_s = 60;         ///< WRITE_TIMEOUT_S, for a reader that takes nothing, 1 to 3600
    std::uint32_t drain_timeout_s = 30;         ///< DRAIN_TIMEOUT_S, for running streams at SIGTERM, 0 to 3600
    std::uint32_t engine_stall_timeout_s = 60;  ///< ENGINE_STALL_TIMEOUT_S, 0 (never) to 86400
    std::uint32_t load_timeout_s = 300;         ///< LOAD_TIMEOUT_S, for a model to load, 1 to 86400
    std::uint32_t max_tokens_limit = 0;         ///< MAX_TOKENS_LIMIT, caps max_tokens of a request; 0: no cap

    // What is kept of OpenAI's Responses API.
    std::uint32_t responses_retention_days = 30;  ///< RESPONSES_RETENTION_DAYS, 0 (nothing is kept) to 3650
    std::uint64_t responses_bytes = 1ULL << 30;   ///< RESPONSES_BYTES, of all that are kept, 1 MiB to 1 PiB
    std::uint32_t max_background_responses = 64;  ///< MAX_BACKGROUND_RESPONSES, of one key, 0 to 65536

    // Files and batches.
    std::uint64_t file_max_bytes = 512ULL << 20;  ///< FILE_MAX_BYTES, of one that is sent, 1 KiB to 1 TiB
    std::uint64_t files_max_bytes = 16ULL << 30;  ///< FILES_MAX_BYTES, of all that are kept, 1 MiB to 1 PiB
    std::uint32_t batch_max_lines = 100000;       ///< BATCH_MAX_LINES, of one batch, 1 to 10,000,000
    std::uint32_t batch_width = 0;                ///< BATCH_WIDTH, lines that run at once, 0 (BATCH_SIZE_MAX) to 1024
    std::uint32_t batch_retention_days = 30;      ///< BATCH_RETENTION_DAYS, of ended batches and their files, 1 to 3650

    // Pulling and pushing models.
    std::vector<std::string> pull_hosts{"registry.ollama.ai", "hf.co", "huggingface.co"};  ///< PULL_HOSTS; "*": any
    std::vector<std::string> pull_private_hosts;  ///< PULL_PRIVATE_HOSTS, that may have private addresses
    std::vector<std::string> pull_mirrors;        ///< PULL_MIRRORS, host=url
    std::uint32_t pull_connections = 4;           ///< PULL_CONNECTIONS, of one download, 1 to 32
    std::uint32_t pull_stall_timeout_s = 30;      ///< PULL_STALL_TIMEOUT_S, without a byte, 1 to 3600
    std::vector<std::string> registry_auth;       ///< REGISTRY_AUTH, host=user:password
    std::string hf_token;                         ///< HF_TOKEN, for Hugging Face alone

    // Other servers that serve models for this one.
    std::vector<std::pair<std::string, UpstreamAddress>> upstreams;  ///< UPSTREAMS, name=kind+url
    std::map<std::string, std::string> upstream_keys;                ///< UPSTREAM_KEYS, name=key
    std::uint32_t upstream_connections = 64;                         ///< UPSTREAM_CONNECTIONS, to each, 1 to 4096
    std::uint32_t upstream_connect_timeout_s = 5;                    ///< UPSTREAM_CONNECT_TIMEOUT_S, 1 to 3600
    std::uint32_t upstream_first_token_timeout_s = 300;              ///< UPSTREAM_FIRST_TOKEN_TIMEOUT_S, 1 to 86400
    std::uint32_t upstream_idle_timeout_s = 60;  ///< UPSTREAM_IDLE_TIMEOUT_S, in an answer, 1 to 86400
    std::uint32_t upstream_poll_s = 15;          ///< UPSTREAM_POLL_S, between two looks, 1 to 86400

    // The engine.
    std::string models_dir;                     ///< MODELS_DIR; default <home>/models
    std::string model_store;                    ///< MODEL_STORE; default <home>/store
    std::string ollama_models;                  ///< OLLAMA_MODELS, a folder, or "off"; default: see below
    std::vector<std::string> ollama_stores;     ///< made of it; without it ~/.ollama/models and the system service's
    std::string hf_hub_cache;                   ///< HF_HUB_CACHE, a folder, or "off"; default as huggingface_hub has it
    std::map<std::string, std::string> models;  ///< --model name=path, or MODELS as name=path,name=path
    std::vector<std::string> model_order;       ///< names of `models` as given
    std::uint32_t context_tokens = 0;   ///< CONTEXT_TOKENS, KV cells per model, 256 to 2^30; 0: chosen from the model
    std::uint32_t threads = 0;          ///< THREADS, per engine; 0: one per core
    std::string cpu_level;              ///< SUTAZAI_CPU_LEVEL, one of kCpuLevels; empty: the best there is
    std::uint32_t batch_tokens = 2048;  ///< BATCH_TOKENS, tokens in one decode step at most, 16 to 65536
    std::uint32_t token_gap_ms = 50;  ///< TOKEN_GAP_MS, what prefill may add to the gap of running streams, 1 to 10000
    std::string chat_template;        ///< CHAT_TEMPLATE, llama.cpp's name of the one for models without; empty: none
    bool control_tokens_in_messages = false;  ///< CONTROL_TOKENS_IN_MESSAGES; true lets texts of messages become them
    bool prefix_sharing = true;               ///< PREFIX_SHARING; false computes every prompt anew
    bool weight_sharing = true;               ///< WEIGHT_SHARING; false gives each engine weights of its own
    std::uint64_t prefix_cache_bytes = 1ULL << 30;   ///< PREFIX_CACHE_BYTES, host memory per model, 0 to 1 TiB
    std::uint64_t adapter_cache_bytes = 1ULL << 30;  ///< ADAPTER_CACHE_BYTES, host memory per model, 0 to 1 TiB
};

/// Where a value came from, for `sutazai config`.
enum class Source : std::uint8_t { kDefault, kDotEnv, kEnvironment, kFlag };
[[nodiscard]] const char* to_string(Source source);

/// One row of `sutazai config` and of .env.example.
struct SettingInfo {
    std::string name;   ///< environment name, for example BATCH_SIZE
    std::string flag;   ///< for example --batch-size
    std::string value;  ///< effective, secrets replaced by "***"
    Source source = Source::kDefault;
    std::string description;  ///< one sentence with unit and range
};

struct Loaded {
    Settings settings;
    std::vector<SettingInfo> rows;  ///< in the order of .env.example
};

/// Where values may come from. `environment` and `dot_env` hold NAME -> value; `flags` holds NAME -> value as well.
struct Inputs {
    std::map<std::string, std::string> flags;
    std::map<std::string, std::string> environment;
    std::map<std::string, std::string> dot_env;
};

/// Validates every effective value (one that a stronger source overrides is not looked at); the error's message and
/// field name the setting, its value and what is allowed. Names in .env and flags that no setting has are errors; in
/// the environment only those that begin with SUTAZAI_ are, save Kubernetes' service links.
[[nodiscard]] Result<Loaded> load(const Inputs& inputs);

/// KEY=value lines; '#' comments, blank lines, optional 'export ', single or double quotes. Errors name the line.
[[nodiscard]] Result<std::map<std::string, std::string>> parse_dot_env(std::string_view text);

/// Every setting with its default, flag and description: for --help, .env.example and tests that these agree.
[[nodiscard]] std::vector<SettingInfo> describe();

}  // namespace sutazai::config
