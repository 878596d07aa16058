#include "config/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace sutazai::config {
namespace {

const std::map<std::string, std::string> kUser{{"HOME", "/home/user"}};

const SettingInfo& row(const Loaded& loaded, const std::string& name) {
    const auto found = std::ranges::find(loaded.rows, name, &SettingInfo::name);
    EXPECT_NE(found, loaded.rows.end()) << name;
    return *found;
}

TEST(Settings, DefaultsAreTheSpecifications) {
    const auto loaded = load({.environment = kUser});
    ASSERT_TRUE(loaded) << loaded.error().message;
    const Settings& settings = loaded->settings;
    EXPECT_TRUE(settings.advanced_caching_enabled);
    EXPECT_EQ(settings.batch_size, 8);
    EXPECT_EQ(settings.batch_timeout_ms, 100);
    EXPECT_TRUE(settings.streaming_enabled);
    EXPECT_TRUE(settings.gpu_acceleration);
    EXPECT_EQ(settings.model_cache_size, 3);
    EXPECT_TRUE(settings.cache_warmup_on_startup);
    EXPECT_EQ(settings.cache_artifact_retention_days, 7);
    EXPECT_TRUE(settings.performance_monitoring);
    EXPECT_EQ(settings.host, "127.0.0.1");
    for (const auto& info : loaded->rows) EXPECT_EQ(info.source, Source::kDefault) << info.name;
}

TEST(Settings, FlagsComeBeforeTheEnvironmentBeforeDotEnvBeforeDefaults) {
    Inputs inputs{.flags = {{"BATCH_SIZE", "1"}},
                  .environment = {{"BATCH_SIZE", "2"}, {"PORT", "2"}},
                  .dot_env = {{"BATCH_SIZE", "3"}, {"PORT", "3"}, {"MAX_QUEUE", "3"}}};
    inputs.environment.insert(kUser.begin(), kUser.end());
    const auto loaded = load(inputs);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->settings.batch_size, 1);
    EXPECT_EQ(row(*loaded, "BATCH_SIZE").source, Source::kFlag);
    EXPECT_EQ(row(*loaded, "BATCH_SIZE").value, "1");
    EXPECT_EQ(loaded->settings.port, 2);
    EXPECT_EQ(row(*loaded, "PORT").source, Source::kEnvironment);
    EXPECT_EQ(loaded->settings.max_queue, 3);
    EXPECT_EQ(row(*loaded, "MAX_QUEUE").source, Source::kDotEnv);
    EXPECT_EQ(loaded->settings.threads, 0);
    EXPECT_EQ(row(*loaded, "THREADS").source, Source::kDefault);
}

TEST(Settings, HomeFollowsTheXdgFolders) {
    EXPECT_EQ(load({.environment = kUser})->settings.home, "/home/user/.local/share/sutazai");
    EXPECT_EQ(load({.environment = kUser})->settings.models_dir, "/home/user/.local/share/sutazai/models");
    EXPECT_EQ(load({.environment = {{"HOME", "/home/user"}, {"XDG_DATA_HOME", "/data"}}})->settings.home,
              "/data/sutazai");
    // The specification has relative folders ignored.
    EXPECT_EQ(load({.environment = {{"HOME", "/h"}, {"XDG_DATA_HOME", "data"}}})->settings.home,
              "/h/.local/share/sutazai");
    EXPECT_EQ(load({.environment = {{"SUTAZAI_HOME", "/srv"}}})->settings.models_dir, "/srv/models");
    EXPECT_EQ(load({.environment = {{"SUTAZAI_HOME", "/srv"}}})->settings.cache_artifacts_dir, "/srv/artifacts");
    const auto homeless = load({});
    ASSERT_FALSE(homeless);
    EXPECT_EQ(homeless.error().field, "SUTAZAI_HOME");
}

TEST(Settings, ReadsEveryKindOfValue) {
    const auto loaded = load({.flags = {{"STREAMING_ENABLED", "No"},
                                        {"GPU_ACCELERATION", "0"},
                                        {"PERFORMANCE_MONITORING", "ON"},
                                        {"MAX_BODY_BYTES", "2m"},
                                        {"MAX_HEADER_BYTES", "2048"},
                                        {"LOG_FORMAT", "json"},
                                        {"LOG_LEVEL", "warn"},
                                        {"ALLOWED_ORIGINS", "https://a.example, http://b.example:8080"},
                                        {"ALLOWED_HOSTS", "a.example,b.example"},
                                        {"MODELS", "small=/m/s.gguf, big:7b = /m/b=1.gguf"}},
                              .environment = kUser});
    ASSERT_TRUE(loaded) << loaded.error().message;
    const Settings& settings = loaded->settings;
    EXPECT_FALSE(settings.streaming_enabled);
    EXPECT_FALSE(settings.gpu_acceleration);
    EXPECT_TRUE(settings.performance_monitoring);
    EXPECT_EQ(settings.max_body_bytes, 2 << 20);
    EXPECT_EQ(settings.max_header_bytes, 2048);
    EXPECT_EQ(settings.log_format, LogFormat::kJson);
    EXPECT_EQ(settings.log_level, "warn");
    EXPECT_EQ(settings.allowed_origins, (std::vector<std::string>{"https://a.example", "http://b.example:8080"}));
    EXPECT_EQ(settings.allowed_hosts, (std::vector<std::string>{"a.example", "b.example"}));
    EXPECT_EQ(settings.model_order, (std::vector<std::string>{"small", "big:7b"}));
    EXPECT_EQ(settings.models, (std::map<std::string, std::string>{{"small", "/m/s.gguf"}, {"big:7b", "/m/b=1.gguf"}}));
    EXPECT_EQ(row(*loaded, "MODELS").value, "small=/m/s.gguf,big:7b=/m/b=1.gguf");
    EXPECT_EQ(row(*loaded, "MAX_HEADER_BYTES").value, "2KiB");
}

TEST(Settings, ReadsSizesInEveryUnit) {
    for (const char* text : {"16777216", "16384k", "16384KiB", "16384kib", "16 MiB", "16m", "16M"}) {
        const auto loaded = load({.flags = {{"MAX_BODY_BYTES", text}}, .environment = kUser});
        ASSERT_TRUE(loaded) << text;
        EXPECT_EQ(loaded->settings.max_body_bytes, 16 << 20) << text;
    }
}

TEST(Settings, ContextTokensAreNoneOrEnoughForTheModelToWorkWith) {
    for (const auto& [text, tokens] : {std::pair("0", 0U), {"256", 256U}, {"1073741824", 1U << 30}}) {
        const auto loaded = load({.flags = {{"CONTEXT_TOKENS", text}}, .environment = kUser});
        ASSERT_TRUE(loaded) << text;
        EXPECT_EQ(loaded->settings.context_tokens, tokens);
    }
}

struct Refused {
    const char* name;
    const char* value;
    const char* allowed;  ///< must be in the message
};

TEST(Settings, RefusalsNameSettingValueAndRange) {
    const std::vector<Refused> all{
        {"ADVANCED_CACHING_ENABLED", "maybe", "true or false"},
        {"BATCH_SIZE", "0", "1 to 256"},
        {"BATCH_SIZE", "257", "1 to 256"},
        {"BATCH_SIZE", "8x", "1 to 256"},
        {"BATCH_SIZE", "-1", "1 to 256"},
        {"BATCH_SIZE", "", "1 to 256"},
        {"BATCH_SIZE", "99999999999999999999999", "1 to 256"},
        {"BATCH_TIMEOUT_MS", "10001", "0 to 10000"},
        {"STREAMING_ENABLED", "2", "true or false"},
        {"GPU_ACCELERATION", "cuda", "true or false"},
        {"MODEL_CACHE_SIZE", "0", "1 to 64"},
        {"CACHE_WARMUP_ON_STARTUP", "", "true or false"},
        {"CACHE_ARTIFACT_RETENTION_DAYS", "3651", "0 to 3650"},
        {"PERFORMANCE_MONITORING", "y", "true or false"},
        {"HOST", "", "an address"},
        {"HOST", "http://x", "an address"},
        {"PORT", "65536", "0 to 65535"},
        {"LOG_LEVEL", "loud", "trace, debug, info, warn or error"},
        {"LOG_FORMAT", "xml", "text or json"},
        {"SUTAZAI_CPU_LEVEL", "avx3", "x86-64-v2, avx2, avx2-vnni, avx512, avx512-vnni, avx512-bf16, or empty"},
        {"ALLOWED_ORIGINS", "example.org", "origins"},
        {"ALLOWED_ORIGINS", "https://a.example/", "origins"},
        {"ALLOWED_ORIGINS", "https://a.example,,", "without empty parts"},
        {"ALLOWED_HOSTS", "a b", "host names"},
        {"MAX_BODY_BYTES", "1023", "1KiB to 256MiB"},
        {"MAX_BODY_BYTES", "257MiB", "1KiB to 256MiB"},
        {"MAX_BODY_BYTES", "1.5m", "1KiB to 256MiB"},
        {"MAX_BODY_BYTES", "8 TiB", "1KiB to 256MiB"},
        {"MAX_BODY_BYTES", "17179869184g", "1KiB to 256MiB"},  // 2^64 bytes: would wrap to 0
        {"MAX_HEADER_BYTES", "2MiB", "1KiB to 1MiB"},
        {"BODY_MEMORY_BYTES", "1023k", "1MiB to 1024GiB"},
        {"BODY_MEMORY_BYTES", "all", "1MiB to 1024GiB"},
        {"MAX_CONNECTIONS", "0", "1 to 65536"},
        {"MAX_QUEUE", "65537", "1 to 65536"},
        {"READ_TIMEOUT_S", "0", "1 to 3600"},
        {"IDLE_TIMEOUT_S", "3601", "1 to 3600"},
        {"WRITE_TIMEOUT_S", "0", "1 to 3600"},
        {"DRAIN_TIMEOUT_S", "3601", "0 to 3600"},
        {"LOAD_TIMEOUT_S", "86401", "1 to 86400"},
        {"MAX_TOKENS_LIMIT", "4294967296", "0 to 4294967295"},
        {"MODELS", "name", "name=path"},
        {"MODELS", "name=", "name=path"},
        {"MODELS", "=path", "name=path"},
        {"MODELS", "a=1,a=2", "a is one"},
        {"BATCH_SIZE_MAX", "257", "1 to 256"},
        {"CONTEXT_TOKENS", "many", "256 to 1073741824, or 0"},
        {"CONTEXT_TOKENS", "1", "256 to 1073741824, or 0"},
        {"CONTEXT_TOKENS", "255", "256 to 1073741824, or 0"},
        {"CONTEXT_TOKENS", "1073741825", "256 to 1073741824, or 0"},
        {"CONTEXT_TOKENS", "", "256 to 1073741824, or 0"},
        {"THREADS", "1025", "0 to 1024"},
        {"BATCH_TOKENS", "15", "16 to 65536"},
    };
    for (const auto& [name, value, allowed] : all) {
        SCOPED_TRACE(std::string(name) + "=" + value);
        const auto loaded = load({.environment = kUser, .dot_env = {{name, value}}});
        ASSERT_FALSE(loaded);
        const Error& error = loaded.error();
        EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(error.field, name);
        for (const std::string& part :
             {std::string(name), '"' + std::string(value) + '"', std::string(allowed), std::string(".env")}) {
            EXPECT_NE(error.message.find(part), std::string::npos) << error.message << "\nlacks " << part;
        }
    }
}

TEST(Settings, UnknownNamesAreErrorsWhereTheyAreOurs) {
    for (const Inputs& inputs : {Inputs{.environment = kUser, .dot_env = {{"BATCHSIZE", "8"}}},
                                 Inputs{.flags = {{"BATCHSIZE", "8"}}, .environment = kUser},
                                 Inputs{.environment = {{"HOME", "/h"}, {"SUTAZAI_PORT", "80"}}}}) {
        const auto loaded = load(inputs);
        ASSERT_FALSE(loaded);
        EXPECT_TRUE(loaded.error().field == "BATCHSIZE" || loaded.error().field == "SUTAZAI_PORT")
            << loaded.error().message;
        EXPECT_NE(loaded.error().message.find(loaded.error().field), std::string::npos);
    }
    EXPECT_TRUE(load({.environment = {{"HOME", "/h"}, {"BATCHSIZE", "8"}, {"PATH", "/bin"}}}));
    EXPECT_TRUE(
        load({.environment = {{"HOME", "/h"}, {"SUTAZAI_PORT", "tcp://10.0.0.1:80"}, {"SUTAZAI_SERVICE_HOST", "x"}}}));
}

TEST(Settings, KeysAreNeverShown) {
    const auto loaded = load({.environment = kUser, .dot_env = {{"API_KEYS", "sk-one, sk-two"}}});
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->settings.api_keys, (std::vector<std::string>{"sk-one", "sk-two"}));
    EXPECT_EQ(row(*loaded, "API_KEYS").value, "***");
    EXPECT_EQ(row(*load({.environment = kUser}), "API_KEYS").value, "");

    const auto refused = load({.environment = kUser, .dot_env = {{"API_KEYS", "sk one"}}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "API_KEYS");
    EXPECT_EQ(refused.error().message.find("sk"), std::string::npos);
}

TEST(Settings, ATildeStandsForTheUsersFolder) {
    const std::map<std::string, std::string> values{{"SUTAZAI_HOME", "~"},
                                                    {"MODELS_DIR", "~/gguf"},
                                                    {"CACHE_ARTIFACTS_DIR", "~/a/~/b"},
                                                    {"MODELS", "one=~/one.gguf,two=./~/two.gguf,three=/x/~"}};
    const auto loaded = load({.environment = {{"HOME", "/home/u"}}, .dot_env = values});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->settings.home, "/home/u");
    EXPECT_EQ(loaded->settings.models_dir, "/home/u/gguf");
    EXPECT_EQ(loaded->settings.cache_artifacts_dir, "/home/u/a/~/b");
    EXPECT_EQ(loaded->settings.models.at("one"), "/home/u/one.gguf");
    EXPECT_EQ(loaded->settings.models.at("two"), "./~/two.gguf");
    EXPECT_EQ(loaded->settings.models.at("three"), "/x/~");
    EXPECT_EQ(row(*loaded, "MODELS_DIR").value, "/home/u/gguf") << "`sutazai config` shows what is used";
    for (const auto& [name, value] : std::map<std::string, std::string>{
             {"MODELS_DIR", "~other/gguf"}, {"SUTAZAI_HOME", "~x"}, {"MODELS", "m=~other/m.gguf"}}) {
        const auto refused = load({.flags = {{name, value}}, .environment = {{"HOME", "/home/u"}}});
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().field, name);
    }
    const auto homeless = load({.flags = {{"MODELS_DIR", "~/m"}}, .environment = {{"XDG_DATA_HOME", "/data"}}});
    ASSERT_FALSE(homeless);
    EXPECT_EQ(homeless.error().field, "MODELS_DIR");
}

TEST(Settings, StoresAreWhereTheirOwnProgramsKeepThem) {
    using Folders = std::vector<std::string>;
    const auto user = load({.environment = {{"HOME", "/h"}}})->settings;
    EXPECT_EQ(user.model_store, "/h/.local/share/sutazai/store");
    EXPECT_EQ(load({.flags = {{"MODEL_STORE", "~/s"}}, .environment = {{"HOME", "/h"}}})->settings.model_store, "/h/s");
    EXPECT_EQ(user.ollama_stores, (Folders{"/h/.ollama/models", "/usr/share/ollama/.ollama/models"}));
    EXPECT_EQ(user.hf_hub_cache, "/h/.cache/huggingface/hub");
    const auto moved =
        load({.environment = {{"HOME", "/h"}, {"OLLAMA_MODELS", "~/o"}, {"HF_HOME", "/hf"}, {"XDG_CACHE_HOME", "/c"}}});
    EXPECT_EQ(moved->settings.ollama_stores, (Folders{"/h/o"}));
    EXPECT_EQ(moved->settings.hf_hub_cache, "/hf/hub");
    EXPECT_EQ(row(*moved, "OLLAMA_MODELS").value, "/h/o");
    EXPECT_EQ(load({.environment = {{"HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}}})->settings.hf_hub_cache,
              "/c/huggingface/hub");
    const auto none = load({.flags = {{"OLLAMA_MODELS", "off"}, {"HF_HUB_CACHE", "off"}}, .environment = kUser});
    EXPECT_TRUE(none->settings.ollama_stores.empty());
    EXPECT_EQ(none->settings.hf_hub_cache, kOff);
}

TEST(Settings, FlagsAreNamedAfterTheSettings) {
    const auto rows = describe();
    const auto flag = [&](const std::string& name) { return std::ranges::find(rows, name, &SettingInfo::name)->flag; };
    EXPECT_EQ(flag("BATCH_SIZE"), "--batch-size");
    EXPECT_EQ(flag("HOST"), "--host");
    EXPECT_EQ(flag("MODELS_DIR"), "--models-dir");
    EXPECT_EQ(flag("MODELS"), "--model");
    EXPECT_EQ(flag("SUTAZAI_HOME"), "--home");
}

TEST(EnvExample, IsWhatTheTableSays) {
    std::ifstream file(SUTAZAI_ENV_EXAMPLE);
    ASSERT_TRUE(file) << SUTAZAI_ENV_EXAMPLE;
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto values = parse_dot_env(text);
    ASSERT_TRUE(values) << values.error().message;

    const auto rows = describe();
    EXPECT_EQ(values->size(), rows.size());
    std::size_t at = 0;
    for (const auto& info : rows) {
        ASSERT_TRUE(values->contains(info.name)) << info.name << " is missing";
        EXPECT_EQ(values->at(info.name), info.value) << info.name;
        const auto place = text.find('\n' + info.name + '=');
        ASSERT_NE(place, std::string::npos) << info.name;
        EXPECT_GT(place, at) << info.name << " is out of order";
        at = place;
    }

    const auto loaded = load({.environment = kUser, .dot_env = *values});
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto defaults = load({.environment = kUser});
    for (const auto& info : loaded->rows) EXPECT_EQ(info.value, row(*defaults, info.name).value) << info.name;
}

TEST(Settings, UpstreamsAndTheirKeys) {
    const auto loaded = load({.environment = {{"HOME", "/home/u"},
                                              {"UPSTREAMS", "b=ollama+http://h:1, a=openai+https://api"},
                                              {"UPSTREAM_KEYS", "a=sk-1"}}});
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto& upstreams = loaded->settings.upstreams;
    ASSERT_EQ(upstreams.size(), 2U);
    EXPECT_EQ(upstreams[0].first, "b") << "their order says who goes first";
    EXPECT_EQ(upstreams[1].second.path, "/v1");
    EXPECT_EQ(loaded->settings.upstream_keys.at("a"), "sk-1");
    EXPECT_EQ(row(*loaded, "UPSTREAM_KEYS").value, "***");
    EXPECT_EQ(row(*loaded, "UPSTREAMS").value, "b=ollama+http://h:1,a=openai+https://api/v1");
    for (const std::string value : {"x", "a=http://h", "a=ollama+http://me:hunter2@h", "a b=ollama+http://h",
                                    "a=ollama+http://h,a=ollama+http://i"}) {
        const auto wrong = load({.environment = {{"HOME", "/home/u"}, {"UPSTREAMS", value}}});
        ASSERT_FALSE(wrong) << value;
        EXPECT_EQ(wrong.error().field, "UPSTREAMS");
        EXPECT_EQ(wrong.error().message.find("hunter2"), std::string::npos);
    }
    const auto second = load({.environment = {{"HOME", "/home/u"}, {"UPSTREAMS", "a=ollama+http://h,b=http://i"}}});
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("wrong is that of \"b\""), std::string::npos) << second.error().message;
    const auto nameless = load({.environment = {{"HOME", "/home/u"}, {"UPSTREAMS", "a=ollama+http://h,hunter2"}}});
    ASSERT_FALSE(nameless);
    EXPECT_NE(nameless.error().message.find("number 2"), std::string::npos) << nameless.error().message;
    EXPECT_EQ(nameless.error().message.find("hunter2"), std::string::npos);
    const auto unused = load(
        {.environment = {
             {"HOME", "/home/u"}, {"UPSTREAMS", "a=ollama+http://h"}, {"UPSTREAM_KEYS", "a=hunter1,typo=hunter2"}}});
    ASSERT_FALSE(unused);
    EXPECT_EQ(unused.error().field, "UPSTREAM_KEYS");
    EXPECT_NE(unused.error().message.find("\"typo\""), std::string::npos) << unused.error().message;
    EXPECT_EQ(unused.error().message.find("hunter"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::config
