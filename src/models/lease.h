#pragma once

#include <memory>
#include <string>

#include "catalog/model_profile.h"
#include "ipc/engine_client.h"

namespace sutazai::models {

struct EngineSlot;

/// By what a model was asked for.
struct AskedModel {
    std::string name;                                      ///< the catalogue's
    std::shared_ptr<const catalog::ModelProfile> profile;  ///< what is said of it; null: nothing
};

/// A request's hold on a warm model: while one is out the model is not evicted. Move-only; give it back by destroying
/// it. Lives on the server's one I/O thread.
class Lease {
  public:
    Lease() = default;
    /// One that `reserves` keeps the model from being chosen to make room, which others only put off.
    Lease(std::shared_ptr<EngineSlot> slot, AskedModel asked, bool reserves = false);
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) noexcept;
    ~Lease();

    [[nodiscard]] ipc::EngineClient& engine() const;
    /// The catalogue's name of what was asked for; others may have the same engine.
    [[nodiscard]] const std::string& model() const { return asked_.name; }
    [[nodiscard]] const catalog::ModelProfile& profile() const;

  private:
    std::shared_ptr<EngineSlot> slot_;
    AskedModel asked_;
    bool reserves_ = false;
};

}  // namespace sutazai::models
