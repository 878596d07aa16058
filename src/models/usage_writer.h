#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "base/blocking_pool.h"
#include "models/usage_file.h"

namespace sutazai::models {

/// Writes the usage file on the pool, so that the last one that was given is the one that stays. One thread calls it.
class UsageWriter {
  public:
    /// An empty path: nothing is written.
    UsageWriter(BlockingPool& pool, std::string path);

    void write(UsageByName usage);
    /// The same, and returns when it is on the disk; false when it could not be put there, which is logged.
    [[nodiscard]] boost::asio::awaitable<bool> write_now(UsageByName usage);

  private:
    struct File;  // shared with the pool's threads
    BlockingPool& pool_;
    std::shared_ptr<File> file_;
    std::uint64_t n_given_ = 0;
};

}  // namespace sutazai::models
