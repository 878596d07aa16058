#include "serve/admission.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "serve/model_defaults.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

Result<void> check_priority(const Caller& caller, int priority, std::string_view path) {
    if (caller.admin || priority >= 0) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}priority must be between 0 and 1000 (got {}); below 0 it needs an administrator's key "
                            "(ADMIN_API_KEYS).",
                            path, priority),
                fmt::format("{}priority", path));
}

std::string text_of(const GenerationRequest& request) {
    struct Text {
        std::string operator()(const Chat& chat) const {
            std::string text;
            for (const ChatMessage& message : chat.messages) {
                text += fmt::format("{}{}:", text.empty() ? "" : "\n", to_string(message.role));
                for (const ContentPart& part : message.content) text += " " + part.text;
            }
            return text;
        }
        std::string operator()(const std::string& text) const { return text; }
        std::string operator()(const std::vector<std::int32_t>& tokens) const {
            return fmt::format("{} tokens", tokens.size());
        }
        std::string operator()(const Infill& infill) const { return infill.prefix + "|" + infill.suffix; }
        std::string operator()(const BareText& text) const { return text.text; }
        std::string operator()(const RankedPair& pair) const { return pair.query + "|" + pair.document; }
    };
    return std::visit(Text(), request.prompt);
}

Error too_narrow(std::string_view model, const ipc::ModelInfo& info, const Caller& caller, std::uint32_t wanted) {
    std::string_view why = "; CONTEXT_TOKENS or models.toml say how many";
    if (info.context_per_sequence >= info.training_context) {
        why = ", which is as many as it was trained for";
    } else if (!caller.admin) {
        why = "; more need an administrator's key (ADMIN_API_KEYS), since it would be loaded anew for all";
    }
    return {ErrorCode::kInvalidArgument,
            fmt::format("options.num_ctx is {}, and {} is served with a context of {} tokens{}.", wanted, model,
                        info.context_per_sequence, why),
            "options.num_ctx"};
}

}  // namespace

Result<void> check_keep_alive(const config::Settings& settings, const Caller& caller,
                              std::optional<KeepAlive> keep_alive) {
    if (caller.admin || !keep_alive || *keep_alive == settings.model_keep_alive) return {};
    const KeepAlive least = std::chrono::minutes(1);
    const KeepAlive most = std::chrono::hours(24);
    if (*keep_alive >= least && *keep_alive <= most) return {};
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("keep_alive must be between {} and {}, or {} as MODEL_KEEP_ALIVE has it (got {}); others need "
                    "an administrator's key (ADMIN_API_KEYS).",
                    show_keep_alive(least), show_keep_alive(most), show_keep_alive(settings.model_keep_alive),
                    show_keep_alive(*keep_alive)),
        "keep_alive");
}

Result<void> complete_request(const Caller& caller, GenerationRequest& request, std::string_view path) {
    if (auto allowed = check_priority(caller, request.priority, path); !allowed) return allowed;
    request.cache_salt = caller.tenant;
    request.via = caller.via;
    return {};
}

void log_prompt(const Context& context, const Caller& caller, const GenerationRequest& request) {
    constexpr std::size_t kMostBytes = 4096;
    if (!context.settings.log_prompts) return;
    spdlog::info("prompt of {}: {}", caller.request_id.empty() ? "-" : caller.request_id,
                 text_of(request).substr(0, kMostBytes));
}

Result<void> settle(const Context& context, const models::Lease& lease, GenerationRequest& request) {
    apply_defaults(lease.profile(), request);
    const auto limit = static_cast<std::int64_t>(context.settings.max_tokens_limit);
    if (limit > 0 && (request.max_tokens < 0 || request.max_tokens > limit)) {
        request.max_tokens = static_cast<int>(limit);
    }
    // Another server knows what adapters its model has.
    return lease.is_remote() ? Result<void>() : choose_adapters(lease.profile(), request);
}

asio::awaitable<Result<models::Lease>> lease_model(Context& context, Caller caller, std::string model,
                                                   std::optional<KeepAlive> keep_alive, std::uint32_t context_tokens) {
    if (auto allowed = check_keep_alive(context.settings, caller, keep_alive); !allowed) {
        co_return std::unexpected(std::move(allowed.error()));
    }
    if (model.empty()) model = context.catalog.default_model();
    if (model.empty()) {
        co_return fail(ErrorCode::kNotFound, "This server has no default model; name one in \"model\".", "model");
    }
    const std::uint32_t may_have = caller.admin ? context_tokens : 0;
    Result<models::Lease> lease = co_await context.models.acquire(std::move(model), keep_alive, may_have);
    if (!lease) {
        const ErrorCode code = lease.error().code;
        const bool wrong_name = code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument;
        if (wrong_name && lease.error().field.empty()) lease.error().field = "model";
        co_return lease;
    }
    // Of a remote one it is the other server's business.
    if (lease->is_remote()) co_return lease;
    const ipc::ModelInfo& info = lease->engine().info();
    if (context_tokens > info.context_per_sequence) {
        co_return std::unexpected(too_narrow(lease->model(), info, caller, context_tokens));
    }
    co_return lease;
}

std::size_t generations_at_once(const config::Settings& settings) {
    return 2 * std::size_t{std::max(settings.batch_size, settings.batch_size_max)};
}

}  // namespace sutazai::serve
