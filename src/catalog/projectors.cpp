#include "catalog/projectors.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>

#include "catalog/ollama_name.h"

namespace sutazai::catalog {
namespace {

constexpr std::string_view kMark = "mmproj";
constexpr std::array<std::string_view, 4> kTypes{"f16", "bf16", "q8", "f32"};  // the best first

std::string_view base_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

/// Runs of letters and digits, in small letters, without the extension.
std::vector<std::string> words_of(std::string_view path) {
    std::string_view file = base_name(path);
    file = file.substr(0, file.rfind('.'));
    std::vector<std::string> words(1);
    for (const char c : in_small_letters(file)) {
        const bool is_part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (is_part) {
            words.back() += c;
        } else if (!words.back().empty()) {
            words.emplace_back();
        }
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

struct Projector {
    std::vector<std::string> name;
    std::size_t type = kTypes.size();  ///< its place in kTypes
};

Projector read_name(std::string_view path) {
    Projector out;
    out.name = words_of(path);
    std::erase_if(out.name, [](const std::string& word) { return word == kMark || word == "model"; });
    if (out.name.size() > 1 && out.name.back() == "0" && out.name[out.name.size() - 2] == "q8") out.name.pop_back();
    if (out.name.empty()) return out;
    const auto* type = std::ranges::find(kTypes, out.name.back());
    if (type == kTypes.end()) return out;
    out.type = static_cast<std::size_t>(type - kTypes.begin());
    out.name.pop_back();
    return out;
}

}  // namespace

bool is_projector_name(std::string_view path) {
    return in_small_letters(base_name(path)).find(kMark) != std::string::npos;
}

std::string projector_for(std::string_view model, const std::vector<std::string>& projectors, bool is_alone) {
    const std::vector<std::string> words = words_of(model);
    const std::string* best = nullptr;
    std::tuple<std::size_t, std::size_t> best_rank;
    for (const std::string& path : projectors) {
        const Projector one = read_name(path);
        const bool goes_with = one.name.empty() ? is_alone
                                                : one.name.size() <= words.size() &&
                                                      std::equal(one.name.begin(), one.name.end(), words.begin());
        const std::tuple rank{one.name.size(), kTypes.size() - one.type};
        if (!goes_with || (best != nullptr && rank <= best_rank)) continue;
        best = &path;
        best_rank = rank;
    }
    return best == nullptr ? std::string() : *best;
}

}  // namespace sutazai::catalog
