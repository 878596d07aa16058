#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <span>

#include "base/blocking_pool.h"
#include "base/generation.h"
#include "ipc/run_blocking.h"

/// Reading and writing of JSON, on the I/O thread as long as that takes less than a millisecond, else beside it.
namespace sutazai::serve {

/// Bytes of JSON that are read or written in less than a millisecond.
inline constexpr std::size_t kLightBytes = 64 << 10;

/// Of the JSON that tells of them, roughly.
[[nodiscard]] inline std::size_t json_bytes(std::span<const TokenScore> scores) {
    constexpr std::size_t kChance = 60;
    return scores.empty() ? 0 : scores.size() * kChance * (1 + scores.front().top.size());
}

/// What `work`, a named callable that is moved from, returns, as a Result. `bytes`: of the JSON that it reads or makes,
/// roughly. As in ipc::run_blocking() it owns or shares all that it touches.
template <typename Work>
[[nodiscard]] boost::asio::awaitable<ipc::BlockingResult<Work>> run_by_size(BlockingPool& pool, std::size_t bytes,
                                                                            Work& work) {
    if (bytes <= kLightBytes) co_return work();
    co_return co_await ipc::run_blocking(pool, work);
}

}  // namespace sutazai::serve
