#include "catalog/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

namespace sutazai::catalog {

bool ModelFile::operator==(const ModelFile& other) const {
    const auto values = [](const ModelFile& model) {
        return std::tie(model.name, model.path, model.bytes, model.modified_unix_s, model.stamps, model.problem,
                        model.weights, model.engine, model.in_store, model.remote);
    };
    if (values(*this) != values(other)) return false;
    return profile == other.profile || profile_of(*this) == profile_of(other);
}

std::optional<ModelFile> look_at_model(const std::string& name, const std::string& path) {
    ModelFile out{.name = name, .path = path, .weights = path, .engine = path};
    bool any = false;
    for (const std::string& part : model_parts(path)) {
        const auto stamp = stamp_of(part);
        if (!stamp) {
            if (out.problem.empty()) {
                out.problem = fmt::format("its part {} is missing", std::filesystem::path(part).filename().string());
            }
            continue;
        }
        any = true;
        out.bytes += stamp->bytes;
        out.modified_unix_s = std::max(out.modified_unix_s, stamp->modified_ns / 1'000'000'000);
        out.stamps.push_back(*stamp);
    }
    if (!any) return std::nullopt;
    if (!out.problem.empty()) out.stamps.clear();
    return out;
}

ModelFile remote_model(std::string name, RemoteModel remote) {
    // No engine has such a key.
    std::string key = fmt::format("remote {} {} {} {}", remote.upstream, remote.address ? remote.address->text() : "",
                                  remote.key_variable, remote.model);
    return {.name = std::move(name), .weights = key, .engine = key, .remote = std::move(remote)};
}

void set_projector(ModelFile& model, std::string path) {
    ModelProfile profile = profile_of(model);
    profile.load.projector = std::move(path);
    model.engine = engine_key(model.weights, profile.load);
    model.profile = std::make_shared<const ModelProfile>(std::move(profile));
}

const ModelProfile& profile_of(const ModelFile& model) {
    static const ModelProfile kNothing;
    return model.profile ? *model.profile : kNothing;
}

}  // namespace sutazai::catalog
