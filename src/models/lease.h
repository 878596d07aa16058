#pragma once

#include <memory>
#include <string>

#include "ipc/engine_client.h"

namespace sutazai::models {

struct EngineSlot;

/// A request's hold on a warm model: while one is out the model is not evicted. Move-only; give it back by destroying
/// it. Lives on the server's one I/O thread.
class Lease {
  public:
    Lease() = default;
    /// One that `reserves` keeps the model from being chosen to make room, which others only put off.
    explicit Lease(std::shared_ptr<EngineSlot> slot, bool reserves = false);
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) noexcept;
    ~Lease();

    [[nodiscard]] ipc::EngineClient& engine() const;
    [[nodiscard]] const std::string& model() const;  ///< the catalogue's name, not the alias that was asked for

  private:
    std::shared_ptr<EngineSlot> slot_;
    bool reserves_ = false;
};

}  // namespace sutazai::models
