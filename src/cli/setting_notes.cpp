#include "cli/setting_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/kv_cells.h"

namespace sutazai::cli {
namespace {

bool is_given(const config::Loaded& loaded, std::string_view name) {
    return std::ranges::any_of(loaded.rows, [&](const config::SettingInfo& row) {
        return row.name == name && row.source != config::Source::kDefault;
    });
}

}  // namespace

std::vector<std::string> setting_notes(const config::Loaded& loaded, unsigned n_processors) {
    const config::Settings& settings = loaded.settings;
    std::vector<std::string> notes;
    if (n_processors > 0 && settings.threads > n_processors) {
        notes.push_back(fmt::format(
            "THREADS={}, and there {} {} processor{}: threads that share one make a step slower", settings.threads,
            n_processors == 1 ? "is" : "are", n_processors, n_processors == 1 ? "" : "s"));
    }
    // By itself the largest batch grows with the first one.
    if (is_given(loaded, "BATCH_SIZE_MAX") && settings.batch_size_max < settings.batch_size) {
        notes.push_back(fmt::format("BATCH_SIZE_MAX={} is less than BATCH_SIZE: {} is used", settings.batch_size_max,
                                    settings.batch_size));
    }
    const auto holds = [&](const char* name, std::uint32_t sequences) {
        if (std::cmp_less_equal(sequences, kMaxSequences)) return;
        notes.push_back(fmt::format("{}={} is more than fits: {} is used", name, sequences, kMaxSequences));
    };
    holds("BATCH_SIZE", settings.batch_size);
    holds("BATCH_SIZE_MAX", settings.batch_size_max);
    const std::uint32_t sequences = std::max(settings.batch_size, settings.batch_size_max);
    if (settings.batch_tokens < sequences) {
        notes.push_back(fmt::format("BATCH_TOKENS={} has no token for each sequence of a full batch: {} is used",
                                    settings.batch_tokens, sequences));
    }
    constexpr std::uint32_t kCells = 256;
    if (const std::uint32_t cells = (settings.context_tokens + kCells - 1) / kCells * kCells;
        cells != settings.context_tokens) {
        notes.push_back(
            fmt::format("CONTEXT_TOKENS={} is no multiple of {}: {} is used", settings.context_tokens, kCells, cells));
    }
    return notes;
}

}  // namespace sutazai::cli
