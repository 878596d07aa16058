#include "batches/store.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>

#include "base/digest.h"
#include "base/files.h"
#include "batches/schema.h"

namespace sutazai::batches {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDatabase = "batches.db";

}  // namespace

bool Store::exists() const {
    return !folder_.empty() && file_status(folder_ / kDatabase).has_value();
}

fs::path Store::results_path(std::int64_t batch) const {
    return folder_ / "results" / fmt::format("{}", batch);
}

Result<void> Store::open() {
    const std::scoped_lock lock(opening_);
    if (database_) return {};
    if (folder_.empty()) {
        return fail(ErrorCode::kUnavailable, "There is no folder for files and batches (SUTAZAI_HOME).");
    }
    for (const fs::path& folder : {folder_, files_folder(), folder_ / "results"}) {
        if (auto made = make_folder(folder); !made) return made;
    }
    auto opened = database::Database::open(folder_ / kDatabase, kSchemaSteps, database::Database::Durability::kDisk);
    if (!opened) return std::unexpected(std::move(opened.error()));
    database_ = std::move(*opened);
    return {};
}

std::string new_id(std::string_view prefix) {
    std::array<std::byte, 16> random{};
    for (std::size_t n = 0; n < random.size();) {
        const ssize_t got = getrandom(random.data() + n, random.size() - n, 0);
        if (got > 0) n += static_cast<std::size_t>(got);
    }
    return fmt::format("{}{}", prefix, to_hex(random));
}

}  // namespace sutazai::batches
