#include "cli/list_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/byte_text.h"
#include "base/visible_text.h"
#include "catalog/gguf_file.h"

namespace sutazai::cli {
namespace {

struct Line {
    std::string name, size, what;
};

std::string describe(const catalog::ModelFile& file) {
    if (!file.problem.empty()) return "not usable: " + file.problem;
    if (file.remote) {
        return fmt::format("{} of {}", file.remote->model,
                           file.remote->address ? file.remote->address->text() : file.remote->upstream);
    }
    const auto summary = catalog::read_gguf_summary(file.path);
    if (!summary) return "not usable: " + summary.error().message;
    std::string text = fmt::format("{} {}", summary->architecture, human_count(summary->parameters));
    const char* type = summary->file_type ? catalog::file_type_name(*summary->file_type) : "";
    if (*type != '\0') text += fmt::format(" {}", type);
    if (summary->context_length > 0) text += fmt::format(", {} tokens", summary->context_length);
    if (!summary->has_chat_template) text += ", no chat template";
    return text;
}

/// Three digits that matter.
std::string with_unit(double value, std::string_view unit) {
    return fmt::format("{:.{}f}{}", value, value < 10 && value != std::floor(value) ? 1 : 0, unit);
}

}  // namespace

std::string human_count(std::uint64_t count) {
    static constexpr std::array<const char*, 5> kUnits{"", "K", "M", "B", "T"};
    auto value = static_cast<double>(count);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return with_unit(value, kUnits.at(unit));
}

std::string model_table(const catalog::Catalog& catalog) {
    const std::string preferred = catalog.default_model();
    std::vector<Line> lines;
    std::size_t name_width = 0;
    std::size_t size_width = 0;
    for (const auto& file : catalog.list()) {
        // Names and reasons may hold names of files, which hold anything.
        Line line{visible(file.name) + (file.name == preferred ? " *" : ""), byte_text(file.bytes),
                  visible(describe(file))};
        name_width = std::max(name_width, line.name.size());
        size_width = std::max(size_width, line.size.size());
        lines.push_back(std::move(line));
    }
    std::string text;
    for (const auto& line : lines) {
        text += fmt::format("{:<{}}  {:>{}}  {}\n", line.name, name_width, line.size, size_width, line.what);
    }
    return text;
}

}  // namespace sutazai::cli
