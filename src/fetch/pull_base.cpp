#include "fetch/pull_base.h"

#include <utility>

#include "fetch/options.h"
#include "fetch/places.h"
#include "fetch/source.h"
#include "store/model_store.h"

namespace sutazai::fetch {
namespace {

Error with_reason(Error not_found, const Error& why) {
    not_found.message += "; it was not pulled either: " + why.message;
    return not_found;
}

}  // namespace

Result<MissingBase> missing_base(const config::Settings& settings, const std::string& from, Error not_found) {
    const auto source = parse_source(from);
    // A file from somewhere is pulled by name first, so that it is said which one it becomes.
    if (!source || source->kind == Source::Kind::kFile) return std::unexpected(std::move(not_found));
    auto options = make_options(settings, network_environment());
    if (!options) return std::unexpected(with_reason(std::move(not_found), options.error()));
    const auto place = place_of(options->access, *source, Direction::kPull);
    if (!place) return std::unexpected(with_reason(std::move(not_found), place.error()));
    if (const auto allowed = options->access.check_start(*place); !allowed) {
        return std::unexpected(with_reason(std::move(not_found), allowed.error()));
    }
    return MissingBase{std::move(*options), {.model = from}, source->name, std::move(not_found)};
}

Result<store::BaseModel> pull_base(const MissingBase& base, const std::stop_token& stop, const ProgressSink& tell) {
    if (auto pulled = pull(base.options, base.request, stop, tell); !pulled) {
        if (pulled.error().code == ErrorCode::kNotFound) {
            return std::unexpected(with_reason(base.not_found, pulled.error()));
        }
        return std::unexpected(std::move(pulled.error()));
    }
    return store::base_of_store(store::ModelStore(base.options.store), base.name);
}

}  // namespace sutazai::fetch
