#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "api/batch.h"
#include "api/choice.h"
#include "base/error.h"
#include "serve/caller.h"
#include "serve/context.h"

/// Many requests in one, answered together.
namespace sutazai::serve {

struct BatchJob {
    api::batch::BatchRequest request;
    std::vector<std::size_t> order;  ///< in which its items run: api::batch::sharing_order()
};

/// Of a body. Pure, and work for the pool when the body is large.
[[nodiscard]] Result<BatchJob> parse_batch(std::string_view body, std::size_t max_requests);

struct BatchAnswer {
    std::string id;
    std::string model;
    int batch_size = 0;                        ///< how many ran at once
    std::vector<Result<api::Choice>> results;  ///< in the order of the items
};

/// Runs all items. One that fails, fails alone, and its error names the item: "requests[2].prompt".
[[nodiscard]] boost::asio::awaitable<Result<BatchAnswer>> run_batch(Context& context, Caller caller, BatchJob job);

}  // namespace sutazai::serve
