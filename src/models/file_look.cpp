#include "models/file_look.h"

#include <algorithm>
#include <utility>

#include "ipc/run_blocking.h"

namespace sutazai::models {

std::optional<std::chrono::nanoseconds> FileLook::written_in_place(const FileStamps& known) const {
    std::int64_t latest = 0;
    for (const FileStamp& stamp : stamps) {
        for (const FileStamp& old : known) {
            if (old.same_file(stamp) && !old.same_content(stamp)) latest = std::max(latest, stamp.modified_ns);
        }
    }
    if (latest == 0) return std::nullopt;
    return std::chrono::system_clock::now().time_since_epoch() - std::chrono::nanoseconds(latest);
}

boost::asio::awaitable<Result<FileLook>> look_at_file(BlockingPool& pool, std::string path,
                                                      std::vector<FileStamps> known) {
    auto look = [path = std::move(path), known = std::move(known)] {
        FileLook out;
        auto stamps = model_stamps(path, &out.missing);
        if (!stamps) return out;
        out.stamps = std::move(*stamps);
        if (std::ranges::find(known, out.stamps) == known.end()) out.summary = catalog::read_gguf_summary(path);
        return out;
    };
    co_return co_await ipc::run_blocking(pool, look);
}

}  // namespace sutazai::models
