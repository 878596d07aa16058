#include "cli/show_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_text.h"

namespace sutazai::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

void add_section(std::string& out, std::string_view title, const Rows& rows) {
    if (rows.empty()) return;
    std::size_t width = 0;
    for (const auto& [name, value] : rows) width = std::max(width, name.size());
    out += fmt::format("  {}\n", title);
    for (const auto& [name, value] : rows) {
        out += value.empty() ? fmt::format("    {}\n", name) : fmt::format("    {:<{}}    {}\n", name, width, value);
    }
    out += '\n';
}

/// The first lines of a text; the rest is asked for by a flag.
Rows first_lines(std::string_view text, std::size_t most) {
    Rows rows;
    while (!text.empty() && rows.size() < most) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.find_first_not_of(" \t\r") != std::string_view::npos) rows.emplace_back(line, "");
    }
    if (text.find_first_not_of(" \t\r\n") != std::string_view::npos) rows.emplace_back("...", "");
    return rows;
}

/// "top_k 40"
Rows parameter_rows(std::string_view lines) {
    Rows rows;
    for (auto& [line, empty] : first_lines(lines, 1000)) {
        const std::size_t blank = line.find(' ');
        if (blank == std::string::npos) continue;
        rows.emplace_back(line.substr(0, blank), line.substr(blank + 1));
    }
    return rows;
}

std::string ended(std::string text) {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    return text;
}

std::string all_of(const api::ollama::ModelPage& page, bool verbose) {
    constexpr std::size_t kShownLines = 3;
    const api::ollama::ModelCard& card = page.card;
    Rows model{{"architecture", card.family}, {"parameters", card.parameter_size}};
    if (card.context_length > 0) model.emplace_back("context length", fmt::to_string(card.context_length));
    if (card.embedding_length > 0) model.emplace_back("embedding length", fmt::to_string(card.embedding_length));
    model.emplace_back("quantization", card.quantization.empty() ? "unknown" : card.quantization);
    model.emplace_back("size", byte_text(card.bytes));
    std::string out;
    add_section(out, "Model", model);
    Rows capabilities;
    for (const std::string& one : card.capabilities) capabilities.emplace_back(one, "");
    add_section(out, "Capabilities", capabilities);
    add_section(out, "Parameters", parameter_rows(page.parameters));
    add_section(out, "System", first_lines(page.system, kShownLines));
    add_section(out, "License", first_lines(page.license, kShownLines));
    if (!verbose) return out;
    Rows metadata;
    for (const auto& [name, value] : page.model_info) {
        constexpr std::size_t kShownBytes = 100;
        std::string text = boost::json::serialize(value);
        if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
        metadata.emplace_back(std::string_view(name), std::move(text));
    }
    add_section(out, "Metadata", metadata);
    return out;
}

}  // namespace

std::string show_text(const api::ollama::ModelPage& page, ShowWhat what) {
    switch (what) {
        case ShowWhat::kModelfile: return ended(page.modelfile);
        case ShowWhat::kParameters: return ended(page.parameters);
        case ShowWhat::kTemplate: return ended(page.chat_template);
        case ShowWhat::kSystem: return ended(page.system);
        case ShowWhat::kLicense: return ended(page.license);
        case ShowWhat::kAll:
        case ShowWhat::kVerbose: break;
    }
    return all_of(page, what == ShowWhat::kVerbose);
}

}  // namespace sutazai::cli
