#include "api/cache_manage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/json.h"
#include "api/unsupported.h"

namespace sutazai::api {

namespace json = boost::json;

namespace {

constexpr std::array<std::pair<const char*, CacheAction>, 8> kActions{{{"status", CacheAction::kStatus},
                                                                       {"warmup", CacheAction::kWarmup},
                                                                       {"save", CacheAction::kSave},
                                                                       {"load", CacheAction::kLoad},
                                                                       {"evict", CacheAction::kEvict},
                                                                       {"pin", CacheAction::kPin},
                                                                       {"unpin", CacheAction::kUnpin},
                                                                       {"prune", CacheAction::kPrune}}};

void read_action(FieldReader& fields, CacheAction& out) {
    std::string name;
    fields.string("action", name);
    for (const auto& [known, action] : kActions) {
        if (name != known) continue;
        out = action;
        return;
    }
    fields.refuse("action", name.empty() ? "is missing; it is status, warmup, save, load, evict, pin, unpin or prune"
                                         : "must be status, warmup, save, load, evict, pin, unpin or prune");
}

void read_models(FieldReader& fields, std::vector<std::string>& out) {
    const json::value* value = fields.find("models");
    if (value == nullptr) return;
    if (!value->is_array()) {
        return fields.refuse("models", fmt::format("must be an array of names (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.size() > kMaxCacheModels) {
        return fields.refuse("models",
                             fmt::format("must hold at most {} names (got {})", kMaxCacheModels, list.size()));
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (!list[i].is_string()) {
            return fields.refuse(fmt::format("models[{}]", i),
                                 fmt::format("must be a string (got {})", kind_of(list[i])));
        }
        std::string name(std::string_view(list[i].get_string()));
        if (std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
    }
}

bool has_a_choice(CacheAction action) {
    return action != CacheAction::kEvict && action != CacheAction::kPin && action != CacheAction::kUnpin;
}

}  // namespace

const char* to_string(CacheAction action) {
    for (const auto& [name, known] : kActions) {
        if (known == action) return name;
    }
    return "status";
}

Result<CacheCommand> parse_cache_command(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    CacheCommand command;
    read_action(fields, command.action);
    read_models(fields, command.models);
    fields.boolean("force", command.force);
    if (command.models.empty() && !has_a_choice(command.action)) {
        fields.refuse("models", fmt::format("must name at least one model for {}", to_string(command.action)));
    }
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return command;
}

}  // namespace sutazai::api
