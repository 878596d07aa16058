#include "config/setting_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/cpu_levels.h"

namespace sutazai::config {
namespace {

/// llama.cpp's.
constexpr std::uint64_t kMostSequences = 256;
/// llama.cpp works in steps of so many cells, and counts them in 32 bits.
constexpr std::uint64_t kLeastContext = 256;
constexpr std::uint64_t kMostContext = 1 << 30;

/// BATCH_SIZE is --batch-size.
std::string flag_of(std::string_view name) {
    std::string flag = "--" + lower(name);
    std::ranges::replace(flag, '_', '-');
    return flag;
}

SettingRow row(std::string name, std::string description, std::function<Parsed<void>(Settings&, std::string_view)> set,
               std::function<std::string(const Settings&)> show) {
    std::string flag = flag_of(name);
    return {std::move(name), std::move(flag), std::move(description), std::move(set), std::move(show)};
}

SettingRow boolean(std::string name, bool Settings::*member, std::string description) {
    return row(
        std::move(name), std::move(description),
        [member](Settings& settings, std::string_view text) -> Parsed<void> {
            const auto value = parse_bool(text);
            if (!value) return std::unexpected(value.error());
            settings.*member = *value;
            return {};
        },
        [member](const Settings& settings) { return std::string(settings.*member ? "true" : "false"); });
}

template <typename T>
SettingRow number(std::string name, T Settings::*member, std::uint64_t least, std::uint64_t most,
                  std::string description) {
    description += fmt::format(" ({} to {})", least, most);
    return row(
        std::move(name), std::move(description),
        [=](Settings& settings, std::string_view text) -> Parsed<void> {
            const auto value = parse_number(text, least, most);
            if (!value) return std::unexpected(value.error());
            settings.*member = static_cast<T>(*value);
            return {};
        },
        [member](const Settings& settings) { return fmt::format("{}", settings.*member); });
}

/// The same, or 0, which stands for something else.
template <typename T>
SettingRow number_or_zero(std::string name, T Settings::*member, std::uint64_t least, std::uint64_t most,
                          std::string description) {
    SettingRow out = number(std::move(name), member, least, most, std::move(description));
    out.set = [member, set = std::move(out.set)](Settings& settings, std::string_view text) -> Parsed<void> {
        if (!parse_number(text, 0, 0)) {
            auto done = set(settings, text);
            return done ? done : std::unexpected(done.error() + ", or 0");
        }
        settings.*member = 0;
        return {};
    };
    return out;
}

template <typename T>
SettingRow size(std::string name, T Settings::*member, std::uint64_t least, std::uint64_t most,
                std::string description) {
    description += fmt::format(" ({} to {})", show_bytes(least), show_bytes(most));
    return row(
        std::move(name), std::move(description),
        [=](Settings& settings, std::string_view text) -> Parsed<void> {
            const auto value = parse_bytes(text, least, most);
            if (!value) return std::unexpected(value.error());
            settings.*member = static_cast<T>(*value);
            return {};
        },
        [member](const Settings& settings) { return show_bytes(settings.*member); });
}

SettingRow path(std::string name, std::string Settings::*member, std::string description) {
    return row(
        std::move(name), std::move(description),
        [member](Settings& settings, std::string_view text) -> Parsed<void> {
            settings.*member = text;
            return {};
        },
        [member](const Settings& settings) { return settings.*member; });
}

/// `is_allowed` looks at each part; `allowed` describes a part that it takes.
SettingRow list(std::string name, std::vector<std::string> Settings::*member, bool (*is_allowed)(std::string_view),
                std::string allowed, std::string description) {
    return row(
        std::move(name), std::move(description),
        [=, allowed = std::move(allowed)](Settings& settings, std::string_view text) -> Parsed<void> {
            auto parts = parse_list(text);
            if (!parts) return std::unexpected(parts.error());
            if (!std::ranges::all_of(*parts, is_allowed))
                return std::unexpected("a comma separated list of " + allowed);
            settings.*member = std::move(*parts);
            return {};
        },
        [member](const Settings& settings) { return fmt::format("{}", fmt::join(settings.*member, ",")); });
}

bool is_printable_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

bool is_origin(std::string_view text) {
    if (text == "*") return true;
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!text.starts_with(scheme)) continue;
        const std::string_view authority = text.substr(scheme.size());
        return is_printable_word(authority) && authority.find_first_of("/?#@*") == std::string_view::npos;
    }
    return false;
}

bool is_host(std::string_view text) {
    return is_printable_word(text) && text.find_first_of("/?#@") == std::string_view::npos;
}

bool is_any_or_host(std::string_view text) {
    return text == "*" || is_host(text);
}

bool is_mirror(std::string_view text) {
    const auto equals = text.find('=');
    return equals != std::string_view::npos && is_host(text.substr(0, equals)) && is_origin(text.substr(equals + 1)) &&
           text.substr(equals + 1) != "*";
}

bool is_credential(std::string_view text) {
    const auto equals = text.find('=');
    return equals != std::string_view::npos && is_host(text.substr(0, equals)) && is_printable_word(text) &&
           text.find(':', equals + 2) != std::string_view::npos;
}

Parsed<void> set_hf_token(Settings& settings, std::string_view text) {
    if (!text.empty() && !is_printable_word(text)) return std::unexpected("a token without blanks");
    settings.hf_token = text;
    return {};
}

Parsed<void> set_host(Settings& settings, std::string_view text) {
    if (!is_host(text)) return std::unexpected("an address or a host name");
    settings.host = text;
    return {};
}

Parsed<void> set_keep_alive(Settings& settings, std::string_view text) {
    const auto value = parse_duration(text);
    if (!value) return std::unexpected("a time such as 300ms, 5m or 1h30m, or a number of seconds");
    settings.model_keep_alive = value->count() < 0 ? kKeepForEver : *value;
    return {};
}

Parsed<void> set_log_level(Settings& settings, std::string_view text) {
    static constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warn", "error"};
    if (std::ranges::find(kLevels, text) == kLevels.end()) return std::unexpected("trace, debug, info, warn or error");
    settings.log_level = text;
    return {};
}

Parsed<void> set_cpu_level(Settings& settings, std::string_view text) {
    if (!text.empty() && std::ranges::find(kCpuLevels, text) == kCpuLevels.end()) {
        return std::unexpected(fmt::format("{}, or empty", fmt::join(kCpuLevels, ", ")));
    }
    settings.cpu_level = text;
    return {};
}

Parsed<void> set_log_format(Settings& settings, std::string_view text) {
    if (text != "text" && text != "json") return std::unexpected("text or json");
    settings.log_format = text == "json" ? LogFormat::kJson : LogFormat::kText;
    return {};
}

Parsed<void> set_otlp_endpoint(Settings& settings, std::string_view text) {
    if (!text.empty() && !parse_upstream(fmt::format("sutazai+{}", text))) {
        return std::unexpected("an http or https URL without user, query and fragment, or empty");
    }
    settings.otlp_endpoint = text;
    return {};
}

Parsed<void> set_chat_template(Settings& settings, std::string_view text) {
    const bool is_name = std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
    if (!is_name || text.size() > 64) return std::unexpected("a name of small letters, digits, -, _ and .");
    settings.chat_template = text;
    return {};
}

Parsed<void> set_models(Settings& settings, std::string_view text) {
    const auto parts = parse_list(text);
    if (!parts) return std::unexpected(parts.error());
    std::map<std::string, std::string> models;
    std::vector<std::string> order;
    for (const std::string_view part : *parts) {
        const auto equals = part.find('=');
        const std::string name(trim(part.substr(0, equals)));
        const std::string file(equals == std::string_view::npos ? "" : trim(part.substr(equals + 1)));
        if (name.empty() || file.empty()) return std::unexpected("name=path, several separated by commas");
        if (!models.emplace(name, file).second)
            return std::unexpected(fmt::format("free of doubles, and {} is one", name));
        order.push_back(name);
    }
    settings.models = std::move(models);
    settings.model_order = std::move(order);
    return {};
}

std::string show_models(const Settings& settings) {
    std::string text;
    for (const auto& name : settings.model_order) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, settings.models.at(name));
    }
    return text;
}

bool is_upstream_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    });
}

Parsed<void> set_upstreams(Settings& settings, std::string_view text) {
    const auto parts = parse_list(text);
    if (!parts) return std::unexpected(parts.error());
    std::vector<std::pair<std::string, UpstreamAddress>> upstreams;
    for (const std::string_view part : *parts) {
        const auto equals = std::min(part.find('='), part.size());
        const std::string name(trim(part.substr(0, equals)));
        auto address = parse_upstream(trim(part.substr(std::min(equals + 1, part.size()))));
        if (!is_upstream_name(name) || !address) {
            // By its name alone: the address may hold a password.
            const std::string which = is_upstream_name(name) && equals < part.size()
                                          ? fmt::format("that of \"{}\"", name)
                                          : fmt::format("number {}", upstreams.size() + 1);
            return std::unexpected(
                fmt::format("name=address, several separated by commas, with names of letters, digits, -, _ and .; an "
                            "address is {} (the entry that is wrong is {})",
                            parse_upstream("").error().message, which));
        }
        if (std::ranges::find(upstreams, name, &std::pair<std::string, UpstreamAddress>::first) != upstreams.end()) {
            return std::unexpected(fmt::format("free of doubles, and {} is one", name));
        }
        upstreams.emplace_back(name, std::move(*address));
    }
    settings.upstreams = std::move(upstreams);
    return {};
}

std::string show_upstreams(const Settings& settings) {
    std::string text;
    for (const auto& [name, address] : settings.upstreams) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, address.text());
    }
    return text;
}

Parsed<void> set_upstream_keys(Settings& settings, std::string_view text) {
    const auto parts = parse_list(text);
    if (!parts) return std::unexpected(parts.error());
    std::map<std::string, std::string> keys;
    for (const std::string_view part : *parts) {
        const auto equals = std::min(part.find('='), part.size());
        const std::string_view key = part.substr(std::min(equals + 1, part.size()));
        if (!is_upstream_name(part.substr(0, equals)) || !is_printable_word(key)) {
            return std::unexpected(
                "name=key, several separated by commas, with keys of printable ASCII without blanks");
        }
        keys.insert_or_assign(std::string(part.substr(0, equals)), std::string(key));
    }
    settings.upstream_keys = std::move(keys);
    return {};
}

std::string show_upstream_keys(const Settings& settings) {
    std::string text;
    for (const auto& [name, key] : settings.upstream_keys) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, key);
    }
    return text;
}

std::vector<SettingRow> make_rows() {
    SettingRow home = path("SUTAZAI_HOME", &Settings::home,
                           "folder of models and state; empty: $XDG_DATA_HOME/sutazai, else ~/.local/share/sutazai");
    home.flag = "--home";
    SettingRow cpu_level =
        row("SUTAZAI_CPU_LEVEL", "level of processor whose kernels may be used at most; empty: the best there is",
            set_cpu_level, [](const Settings& settings) { return settings.cpu_level; });
    cpu_level.flag = "--cpu-level";
    SettingRow keys = list("API_KEYS", &Settings::api_keys, is_printable_word, "printable ASCII keys without blanks",
                           "keys that clients must show, comma separated; none is asked for without any");
    keys.secret = true;
    SettingRow admin_keys =
        list("ADMIN_API_KEYS", &Settings::admin_api_keys, is_printable_word, "printable ASCII keys without blanks",
             "keys that may pin, warm, evict, save, load and prune as well, and go before others, comma separated");
    admin_keys.secret = true;
    SettingRow registry_auth = list(
        "REGISTRY_AUTH", &Settings::registry_auth, is_credential, "host=user:password",
        "who to be at registries, host=user:password, several separated by commas; each is sent to its host alone");
    registry_auth.secret = true;
    SettingRow hf_token = row("HF_TOKEN", "token for Hugging Face, sent to hf.co and huggingface.co alone",
                              set_hf_token, [](const Settings& settings) { return settings.hf_token; });
    hf_token.secret = true;
    // An address that is refused may hold a password.
    SettingRow upstreams = row("UPSTREAMS",
                               "other servers whose models are served here too, name=ollama+URL, name=openai+URL or "
                               "name=sutazai+URL, several separated by commas",
                               set_upstreams, show_upstreams);
    upstreams.hides_wrong_value = true;
    SettingRow upstream_keys = row("UPSTREAM_KEYS", "keys for UPSTREAMS, name=key, several separated by commas",
                                   set_upstream_keys, show_upstream_keys);
    upstream_keys.secret = true;
    SettingRow models =
        row("MODELS", "models by name, name=path, several separated by commas (the flag may be repeated)", set_models,
            show_models);
    models.flag = "--model";

    return {
        boolean("ADVANCED_CACHING_ENABLED", &Settings::advanced_caching_enabled,
                "keep several models warm; false keeps one at a time"),
        number("BATCH_SIZE", &Settings::batch_size, 1, kMostSequences, "sequences decoded together per model"),
        number("BATCH_SIZE_MAX", &Settings::batch_size_max, 1, kMostSequences,
               "sequences that the batch may grow to under load; never less than BATCH_SIZE"),
        number("BATCH_TIMEOUT_MS", &Settings::batch_timeout_ms, 0, 10000,
               "milliseconds a request may be held for companions"),
        boolean("STREAMING_ENABLED", &Settings::streaming_enabled, "answer stream requests; false refuses them"),
        boolean("GPU_ACCELERATION", &Settings::gpu_acceleration, "use a GPU when there is one"),
        number("MODEL_CACHE_SIZE", &Settings::model_cache_size, 1, 64, "models kept warm at once"),
        size("MODEL_CACHE_BYTES", &Settings::model_cache_bytes, 0, 1ULL << 50,
             "memory that warm models may take together; 0: four fifths of what the machine or its control group "
             "allows"),
        row("MODEL_KEEP_ALIVE",
            "how long an idle model stays warm, such as 5m, 1h30m or seconds; 0 unloads after use, negative never",
            set_keep_alive,
            [](const Settings& settings) {
                return settings.model_keep_alive.count() < 0 ? "-1" : show_keep_alive(settings.model_keep_alive);
            }),
        boolean("CACHE_WARMUP_ON_STARTUP", &Settings::cache_warmup_on_startup,
                "load the named models (else those that were warm last time, else the default one) after the start"),
        number("STANDBY_ENGINES", &Settings::standby_engines, 0, 16,
               "engine processes kept started for the next cold models; 0: none"),
        number("CACHE_ARTIFACT_RETENTION_DAYS", &Settings::cache_artifact_retention_days, 0, 3650,
               "days that cache artifacts are kept"),
        path("CACHE_ARTIFACTS_DIR", &Settings::cache_artifacts_dir,
             "folder of cache artifacts; empty: the folder artifacts in SUTAZAI_HOME"),
        size("CACHE_ARTIFACT_BYTES", &Settings::cache_artifact_bytes, 0, 1ULL << 50,
             "disk space for the cache artifacts of all models; 0: none are written or read"),
        boolean("PERFORMANCE_MONITORING", &Settings::performance_monitoring, "measure requests and offer the metrics"),
        boolean("METRICS_VLLM_NAMES", &Settings::metrics_vllm_names,
                "offer the metrics under vLLM's names too, for routers and dashboards that know those"),

        row("HOST", "address to listen on; set API_KEYS before it is wider than loopback", set_host,
            [](const Settings& settings) { return settings.host; }),
        number("PORT", &Settings::port, 0, 65535, "TCP port; 0 takes a free one and prints it"),
        number("OLLAMA_COMPAT_PORT", &Settings::ollama_compat_port, 0, 65535,
               "a second port with the same routes, 11434 for programs that look for Ollama; 0: none"),
        row("LOG_LEVEL", "trace, debug, info, warn or error", set_log_level,
            [](const Settings& settings) { return settings.log_level; }),
        row("LOG_FORMAT", "text or json", set_log_format,
            [](const Settings& settings) {
                return std::string(settings.log_format == LogFormat::kJson ? "json" : "text");
            }),
        boolean("LOG_PROMPTS", &Settings::log_prompts, "write prompts into the log; else nothing of them is there"),
        row("OTLP_ENDPOINT",
            "where spans of requests go, OpenTelemetry's OTLP over HTTP, such as http://127.0.0.1:4318; empty: nowhere",
            set_otlp_endpoint, [](const Settings& settings) { return settings.otlp_endpoint; }),
        std::move(home),
        std::move(keys),
        std::move(admin_keys),
        list("ALLOWED_ORIGINS", &Settings::allowed_origins, is_origin, "origins such as https://example.org (or *)",
             "origins that browsers may call from (CORS), comma separated"),
        list("ALLOWED_HOSTS", &Settings::allowed_hosts, is_host, "host names",
             "Host headers taken beside loopback names and HOST, comma separated"),

        size("MAX_BODY_BYTES", &Settings::max_body_bytes, 1ULL << 10, 256ULL << 20, "largest request body"),
        size("MAX_HEADER_BYTES", &Settings::max_header_bytes, 1ULL << 10, 1ULL << 20, "largest request head"),
        size("BODY_MEMORY_BYTES", &Settings::body_memory_bytes, 1ULL << 20, 1ULL << 40,
             "memory for all request bodies together until they are parsed; never less than twice MAX_BODY_BYTES"),
        number("MAX_CONNECTIONS", &Settings::max_connections, 1, 65536, "open connections"),
        number("MAX_QUEUE", &Settings::max_queue, 1, 65536, "requests that wait per model"),
        number("MAX_BATCH_REQUESTS", &Settings::max_batch_requests, 1, 65536,
               "generations that one request (a batch, a list of prompts) may ask for"),
        number("QUEUE_TIMEOUT_S", &Settings::queue_timeout_s, 0, 86400,
               "seconds a request may wait to begin, 0 without end"),
        number("READ_TIMEOUT_S", &Settings::read_timeout_s, 1, 3600, "seconds for a request's head and body to arrive"),
        number("IDLE_TIMEOUT_S", &Settings::idle_timeout_s, 1, 3600, "seconds between requests of one connection"),
        number("WRITE_TIMEOUT_S", &Settings::write_timeout_s, 1, 3600,
               "seconds a client may take nothing of its answer"),
        number("DRAIN_TIMEOUT_S", &Settings::drain_timeout_s, 0, 3600, "seconds that running streams get at SIGTERM"),
        number("LOAD_TIMEOUT_S", &Settings::load_timeout_s, 1, 86400, "seconds for a model to load"),
        number("ENGINE_STALL_TIMEOUT_S", &Settings::engine_stall_timeout_s, 0, 86400,
               "seconds after which an engine that gets no further is ended and started anew, 0 never"),
        number("MAX_TOKENS_LIMIT", &Settings::max_tokens_limit, 0, UINT32_MAX,
               "cap on a request's max_tokens; 0: no cap"),

        number("RESPONSES_RETENTION_DAYS", &Settings::responses_retention_days, 0, 3650,
               "days that a response of /v1/responses is kept after its last use; 0: none is kept"),
        size("RESPONSES_BYTES", &Settings::responses_bytes, 1ULL << 20, 1ULL << 50,
             "disk space for all responses that are kept; those used longest ago make room"),
        number("MAX_BACKGROUND_RESPONSES", &Settings::max_background_responses, 0, 65536,
               "background responses of one API key that may be open; 0: none"),

        size("FILE_MAX_BYTES", &Settings::file_max_bytes, 1ULL << 10, 1ULL << 40, "largest file of /v1/files"),
        size("FILES_MAX_BYTES", &Settings::files_max_bytes, 1ULL << 20, 1ULL << 50,
             "disk space for all files of /v1/files together"),
        number("BATCH_MAX_LINES", &Settings::batch_max_lines, 1, 10'000'000, "requests of one batch of /v1/batches"),
        number("BATCH_WIDTH", &Settings::batch_width, 0, 1024,
               "requests of batches that run at once while nobody else asks for anything; 0: as many as "
               "BATCH_SIZE_MAX"),
        number("BATCH_RETENTION_DAYS", &Settings::batch_retention_days, 1, 3650,
               "days that ended batches, what they were given and what came out of them are kept"),

        list("PULL_HOSTS", &Settings::pull_hosts, is_any_or_host, "hosts, each perhaps with :port, or *",
             "hosts that models may be pulled from and pushed to, comma separated; what `sutazai pull` is given may be "
             "any"),
        list("PULL_PRIVATE_HOSTS", &Settings::pull_private_hosts, is_host, "hosts, each perhaps with :port",
             "the same for hosts that may have private addresses, which redirects may lead to, also over plain http"),
        list("PULL_MIRRORS", &Settings::pull_mirrors, is_mirror, "host=url, with an http or https URL that has no path",
             "where to pull from instead of a host, such as registry.ollama.ai=http://127.0.0.1:5000, comma separated"),
        number("PULL_CONNECTIONS", &Settings::pull_connections, 1, 32, "connections of one download"),
        number("PULL_STALL_TIMEOUT_S", &Settings::pull_stall_timeout_s, 1, 3600,
               "seconds without a byte after which a connection is given up and made anew"),
        std::move(registry_auth),
        std::move(hf_token),

        std::move(upstreams),
        std::move(upstream_keys),
        number("UPSTREAM_CONNECTIONS", &Settings::upstream_connections, 1, 4096,
               "requests that are sent to one upstream at once; more wait"),
        number("UPSTREAM_CONNECT_TIMEOUT_S", &Settings::upstream_connect_timeout_s, 1, 3600,
               "seconds for a connection to an upstream"),
        number("UPSTREAM_FIRST_TOKEN_TIMEOUT_S", &Settings::upstream_first_token_timeout_s, 1, 86400,
               "seconds until an upstream's first token; it may have to load the model"),
        number("UPSTREAM_IDLE_TIMEOUT_S", &Settings::upstream_idle_timeout_s, 1, 86400,
               "seconds that an upstream may say nothing in the middle of an answer"),
        number("UPSTREAM_POLL_S", &Settings::upstream_poll_s, 1, 86400,
               "seconds between two looks at an upstream's models"),

        path("MODELS_DIR", &Settings::models_dir, "folder of GGUF files; empty: the folder models in SUTAZAI_HOME"),
        path("MODEL_STORE", &Settings::model_store,
             "folder that models are pulled and created in, laid out as Ollama's; empty: the folder store in "
             "SUTAZAI_HOME"),
        row(
            "OLLAMA_MODELS",
            "folder of Ollama's models, which is only read; empty: ~/.ollama/models and the system service's; off: "
            "none",
            [](Settings& settings, std::string_view text) -> Parsed<void> {
                settings.ollama_models = text;
                return {};
            },
            [](const Settings& settings) {
                return settings.ollama_stores.empty() ? settings.ollama_models
                                                      : fmt::format("{}", fmt::join(settings.ollama_stores, ":"));
            }),
        path("HF_HUB_CACHE", &Settings::hf_hub_cache,
             "Hugging Face cache, which is only read; empty: HF_HOME/hub, or ~/.cache/huggingface/hub; off: none"),
        std::move(models),
        number_or_zero("CONTEXT_TOKENS", &Settings::context_tokens, kLeastContext, kMostContext,
                       "KV cells per model, rounded up to a multiple of 256; 0: chosen from the model"),
        number("THREADS", &Settings::threads, 0, 1024, "threads per engine; 0: one per core"),
        std::move(cpu_level),
        number("BATCH_TOKENS", &Settings::batch_tokens, 16, 65536, "tokens in one decode step at most"),
        number("TOKEN_GAP_MS", &Settings::token_gap_ms, 1, 10000,
               "milliseconds that reading prompts may add to the token gap of running streams"),
        row("CHAT_TEMPLATE",
            "llama.cpp's name of the chat template for models whose file has none, for example chatml; empty: none",
            set_chat_template, [](const Settings& settings) { return settings.chat_template; }),
        boolean("CONTROL_TOKENS_IN_MESSAGES", &Settings::control_tokens_in_messages,
                "names of control tokens in a message's text become those tokens: who writes them speaks as anybody"),
        boolean("PREFIX_SHARING", &Settings::prefix_sharing,
                "share the work on prompts that begin alike; false computes every prompt anew"),
        boolean("WEIGHT_SHARING", &Settings::weight_sharing,
                "models that have weights in common keep them in memory once, and start from one another's"),
        size("PREFIX_CACHE_BYTES", &Settings::prefix_cache_bytes, 0, 1ULL << 40,
             "host memory per model for prefixes that its KV cells have no room for"),
        size("ADAPTER_CACHE_BYTES", &Settings::adapter_cache_bytes, 0, 1ULL << 40,
             "host memory per model for adapters (LoRA); those used longest ago make room"),
    };
}

}  // namespace

const std::vector<SettingRow>& setting_rows() {
    static const std::vector<SettingRow> rows = make_rows();
    return rows;
}

}  // namespace sutazai::config
