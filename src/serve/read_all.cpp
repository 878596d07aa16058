#include "serve/read_all.h"

#include <utility>
#include <vector>

namespace sutazai::serve {

namespace asio = boost::asio;

asio::awaitable<Result<void>> read_all(Generations& generations, Listener& listener, OpenRequest& open) {
    while (!generations.ended()) {
        std::vector<Generations::Event> events = co_await generations.next();
        open.take(events);
        for (Generations::Event& event : events) {
            auto& error = event.update.error;
            if (error) error = listener.explain(std::move(*error), event.index);
        }
        if (auto taken = co_await listener.take(events, generations.ended()); !taken) co_return taken;
    }
    co_return Result<void>{};
}

}  // namespace sutazai::serve
