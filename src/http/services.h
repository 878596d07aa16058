#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "api/batch.h"
#include "base/blocking_pool.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "http/auth.h"
#include "http/host_check.h"
#include "http/router.h"
#include "models/model_manager.h"

namespace sutazai::http {

/// How long the finished requests of each model took, from the request's arrival to its last token.
class LatencyBook {
  public:
    struct Entry {
        std::uint64_t requests = 0;
        std::chrono::duration<double> total{0};
    };

    void record(const std::string& model, std::chrono::duration<double> took) {
        Entry& entry = entries_[model];
        ++entry.requests;
        entry.total += took;
    }
    [[nodiscard]] double mean_s(const std::string& model) const {
        const auto found = entries_.find(model);
        return found == entries_.end() ? 0 : found->second.total.count() / static_cast<double>(found->second.requests);
    }

  private:
    std::map<std::string, Entry> entries_;
};

/// What handlers work with. Owned by the server; on the one I/O thread.
struct Services {
    const config::Settings& settings;
    models::AdvancedModelManager& models;
    const catalog::Catalog& catalog;
    BlockingPool& pool;
    HostCheck hosts;
    Auth auth;
    Router router;
    LatencyBook latencies = {};
    api::batch::BatchIds batch_ids = {};
    bool draining = false;  ///< no new requests are taken
};

}  // namespace sutazai::http
