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
    bool succeeded = true;

    /// Two threads of the pool may come to them in the other order.
    bool write(std::uint64_t number, const UsageByName& usage) {
        const std::lock_guard lock(mutex);
        if (number < written) return succeeded;
        written = number;
        succeeded = write_usage(path, usage);
        if (!succeeded) spdlog::warn("{} could not be written", path);
        return succeeded;
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
        pool_.post([file = file_, number = ++n_given_, usage = std::move(usage)] { (void)file->write(number, usage); });
    if (!taken) spdlog::warn("{} was not written: too much work is waiting", file_->path);
}

boost::asio::awaitable<bool> UsageWriter::write_now(UsageByName usage) {
    if (file_ == nullptr) co_return true;
    auto work = [file = file_, number = ++n_given_, usage = std::move(usage)] { return file->write(number, usage); };
    const Result<bool> written = co_await ipc::run_blocking(pool_, work);
    if (!written) spdlog::warn("the usage file was not written: {}", written.error().message);
    co_return written.value_or(false);
}

}  // namespace sutazai::models
