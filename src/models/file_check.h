#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/blocking_pool.h"
#include "catalog/catalog.h"
#include "models/catalog_keeper.h"
#include "models/file_look.h"
#include "models/memory_estimate.h"
#include "models/warm_model.h"

namespace sutazai::models {

/// Whether the file of a model is still the one that is known or loaded. One I/O thread; looks at files elsewhere.
class FileCheck {
  public:
    /// Why a model of that name that takes so much cannot be loaded, however many others leave.
    using ReasonNotToFit = std::function<std::optional<Error>(const std::string& name, const ModelMemory& memory)>;

    /// `catalog` and `keeper` outlive it.
    FileCheck(const catalog::Catalog& catalog, CatalogKeeper& keeper, const EngineShape& shape, ReasonNotToFit reason);

    struct Verdict {
        std::optional<Error> error = {};  ///< why there can be no lease
        bool dismissed = false;           ///< the slot has just begun to leave, for what is to be loaded in its place
    };
    /// At a lease. What is warm and changed begins to leave; what is cold gets its outline read. Who asks meanwhile
    /// shares. The model and this outlive the wait.
    [[nodiscard]] boost::asio::awaitable<Verdict> check(WarmModel& model);
    /// Would a request of so many tokens find too little context, and may there be more? Not where CONTEXT_TOKENS or
    /// models.toml say how much there is.
    [[nodiscard]] bool is_too_narrow(const WarmModel& model, std::uint32_t context_tokens) const;
    /// From now on the model is loaded so that one request of so many tokens fits, or as many as it was trained for.
    /// What is warm begins to leave. kInvalidArgument when there is no memory for that.
    [[nodiscard]] boost::asio::awaitable<Verdict> widen(WarmModel& model, std::uint32_t context_tokens);
    /// All is well from now on: the server is shutting down.
    void stop() { stopped_ = true; }

  private:
    [[nodiscard]] Verdict take_cold(WarmModel& model, const std::string& path, FileLook look) const;
    [[nodiscard]] Verdict take_warm(WarmModel& model, const std::string& path, FileLook look) const;
    [[nodiscard]] Verdict take_rewritten(WarmModel& model, const std::string& path, FileLook look) const;
    [[nodiscard]] Error not_there(const WarmModel& model) const;
    void take_over(WarmModel& model, const std::string& path, FileStamps stamps,
                   const catalog::GgufSummary& summary) const;

    const catalog::Catalog& catalog_;
    CatalogKeeper& keeper_;
    EngineShape shape_;
    ReasonNotToFit reason_not_to_fit_;
    bool stopped_ = false;
    /// A request waits for a look, and must not wait for what others have put on the large pool.
    BlockingPool looks_{1};
};

}  // namespace sutazai::models
