#include "fetch/options.h"

#include <cstdlib>
#include <utility>

namespace sutazai::fetch {
namespace {

constexpr const char* kNames[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",    "ALL_PROXY",
                                  "no_proxy",   "NO_PROXY",    "HTTP_PROXY",  "SSL_CERT_FILE"};

}  // namespace

Result<Options> make_options(const config::Settings& settings, const std::map<std::string, std::string>& environment) {
    Options out;
    auto mirrors = parse_mirrors(settings.pull_mirrors);
    if (!mirrors) {
        return fail(ErrorCode::kInvalidArgument, "PULL_MIRRORS must be " + mirrors.error().message, "PULL_MIRRORS");
    }
    auto credentials = parse_registry_auth(settings.registry_auth);
    if (!credentials) {
        return fail(ErrorCode::kInvalidArgument, "REGISTRY_AUTH must be " + credentials.error().message,
                    "REGISTRY_AUTH");
    }
    out.access.hosts = settings.pull_hosts;
    out.access.private_hosts = settings.pull_private_hosts;
    out.access.mirrors = std::move(*mirrors);
    out.access.basic = std::move(*credentials);
    if (!settings.hf_token.empty()) {
        for (const char* const host : {"hf.co", "huggingface.co"}) out.access.bearer[host] = settings.hf_token;
    }
    const auto value = [&](const char* small, const char* large) {
        const auto found = environment.find(small);
        if (found != environment.end()) return found->second;
        const auto other = environment.find(large);
        return other == environment.end() ? std::string() : other->second;
    };
    out.access.proxies = {value("http_proxy", "HTTP_PROXY"), value("https_proxy", "HTTPS_PROXY"),
                          value("all_proxy", "ALL_PROXY"), value("no_proxy", "NO_PROXY")};
    out.access.ca_file = value("SSL_CERT_FILE", "");
    out.patience.stall = std::chrono::seconds(settings.pull_stall_timeout_s);
    out.connections = settings.pull_connections;
    out.store = settings.model_store;
    for (const std::string& root : settings.ollama_stores) {
        if (root != settings.model_store) out.other_stores.emplace_back(root);
    }
    return out;
}

std::map<std::string, std::string> network_environment() {
    std::map<std::string, std::string> out;
    for (const char* const name : kNames) {
        const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets them
        if (value != nullptr) out[name] = value;
    }
    return out;
}

}  // namespace sutazai::fetch
