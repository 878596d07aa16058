#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace sutazai::serve {

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

}  // namespace sutazai::serve
