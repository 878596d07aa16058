#pragma once

#include <memory>
#include <string>

#include "catalog/model_profile.h"
#include "ipc/engine_client.h"
#include "upstream/upstream.h"

namespace sutazai::models {

struct EngineSlot;

/// By what a model was asked for.
struct AskedModel {
    std::string name;                                      ///< the catalogue's
    std::shared_ptr<const catalog::ModelProfile> profile;  ///< what is said of it; null: nothing
};

/// A request's hold on a warm model: while one is out the model is not evicted. Or on one that another server has, of
/// which nothing is known but its name. Move-only; give it back by destroying it. Lives on the server's one I/O thread.
class Lease {
  public:
    Lease() = default;
    /// One that `reserves` keeps the model from being chosen to make room, which others only put off.
    Lease(std::shared_ptr<EngineSlot> slot, AskedModel asked, bool reserves = false);
    Lease(std::shared_ptr<upstream::RemoteModel> remote, AskedModel asked);
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) noexcept;
    ~Lease();

    /// Who answers.
    [[nodiscard]] ipc::Generator& generator() const;
    [[nodiscard]] bool is_remote() const { return remote_ != nullptr; }
    /// The other server that has the model, as UPSTREAMS or models.toml names it; empty: it is here.
    [[nodiscard]] std::string upstream() const;
    [[nodiscard]] bool has_chat_template() const;
    /// Of a warm model, not of a remote one.
    [[nodiscard]] ipc::EngineClient& engine() const;
    /// The catalogue's name of what was asked for; others may have the same engine.
    [[nodiscard]] const std::string& model() const { return asked_.name; }
    [[nodiscard]] const catalog::ModelProfile& profile() const;

  private:
    std::shared_ptr<EngineSlot> slot_;               // or
    std::shared_ptr<upstream::RemoteModel> remote_;  // one of the two
    AskedModel asked_;
    bool reserves_ = false;
};

}  // namespace sutazai::models
