#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <span>

#include "base/error.h"
#include "serve/generations.h"
#include "serve/request_book.h"

namespace sutazai::serve {

/// Who is told of what generations bring.
class Listener {
  public:
    virtual ~Listener() = default;
    /// The error of one generation in the words of the request, for example with its number in `field`.
    [[nodiscard]] virtual Error explain(Error error, std::size_t /*index*/) { return error; }
    /// What has come meanwhile, one event a generation, errors explained; the updates may be moved from. `last`:
    /// nothing comes after it. An error ends the reading.
    [[nodiscard]] virtual boost::asio::awaitable<Result<void>> take(std::span<Generations::Event> events,
                                                                    bool last) = 0;
};

/// Tells `listener` of everything until all generations have ended, or until it has enough: that is the result. `open`
/// hears of it first, and listens to them already.
[[nodiscard]] boost::asio::awaitable<Result<void>> read_all(Generations& generations, Listener& listener,
                                                            OpenRequest& open);

}  // namespace sutazai::serve
