#include "models/usage_writer.h"

#include <spdlog/spdlog.h>

#include <mutex>
#include <utility>

#include "ipc/run_blocking.h"

namespace sutazai::models {

struct UsageWriter::File {
    std::string path;
    std::mutex mutex;  // one writes at a time
    std::uint64_t written = 0;

    /// Two threads of the pool may come to them in the other order.
    void write(std::uint64_t number, const UsageByName& usage) {
        const std::lock_guard lock(mutex);
        if (number < written) return;
        written = number;
        if (!write_usage(path, usage)) spdlog::warn("{} could not be written", path);
    }
};

UsageWriter::UsageWriter(BlockingPool& pool, std::string path) : pool_(pool) {
    if (path.empty()) return;
    file_ = std::make_shared<File>();
    file_->path = std::move(path);
}

void UsageWriter::write(UsageByName usage) {
    if (file_ == nullptr) return;
    const bool taken =
        pool_.post([file = file_, number = ++n_given_, usage = std::move(usage)] { file->write(number, usage); });
    if (!taken) spdlog::warn("{} was not written: too much work is waiting", file_->path);
}

boost::asio::awaitable<void> UsageWriter::write_now(UsageByName usage) {
    if (file_ == nullptr) co_return;
    auto work = [file = file_, number = ++n_given_, usage = std::move(usage)] { file->write(number, usage); };
    const Result<void> written = co_await ipc::run_blocking(pool_, work);
    if (!written) spdlog::warn("the usage file was not written: {}", written.error().message);
}

}  // namespace sutazai::models
