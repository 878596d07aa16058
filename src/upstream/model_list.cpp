#include "upstream/model_list.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <utility>

#include "catalog/model_names.h"
#include "upstream/answer_parts.h"
#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace json = boost::json;

Result<std::vector<std::string>> read_model_list(UpstreamKind kind, std::string_view body) {
    boost::system::error_code no_json;
    const json::value value = json::parse(body, no_json);
    const json::object* object = no_json ? nullptr : value.if_object();
    const bool is_ollama = kind == UpstreamKind::kOllama;
    const json::array* list = object == nullptr ? nullptr : array_in(*object, is_ollama ? "models" : "data");
    if (list == nullptr) return broken("it sent something that is no list of models");
    std::vector<std::string> names;
    for (const json::value& entry : *list) {
        const json::object* model = entry.if_object();
        if (model == nullptr) continue;
        const std::string_view name = text_in(*model, is_ollama ? "name" : "id");
        if (catalog::is_valid_model_name(name)) names.emplace_back(name);
        if (names.size() == kMostRemoteModels) break;
    }
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
}

}  // namespace sutazai::upstream
