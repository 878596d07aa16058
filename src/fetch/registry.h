#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "catalog/ollama_name.h"
#include "fetch/client.h"
#include "fetch/url.h"
#include "store/manifest.h"

namespace sutazai::fetch {

/// One repository of a registry: Docker's HTTP API V2, as Ollama speaks it. Blocks; one thread.
class Registry {
  public:
    /// `base`: scheme and authority of the registry, or of its mirror.
    Registry(Client& client, Url base, const catalog::OllamaName& name);

    /// To the byte. kNotFound when there is no such model.
    [[nodiscard]] Result<std::string> get_manifest();
    [[nodiscard]] Url blob_url(const Digest& digest) const;

    [[nodiscard]] Result<bool> has_blob(const Digest& digest);
    /// `on_bytes` is told how much of the file is there.
    [[nodiscard]] Result<void> put_blob(const store::Layer& blob, const File& file,
                                        const std::function<void(std::uint64_t completed)>& on_bytes);
    [[nodiscard]] Result<void> put_manifest(const std::string& text, const std::string& media_type);

  private:
    [[nodiscard]] Url at(std::string path) const;
    [[nodiscard]] Result<Url> begin_upload();
    [[nodiscard]] Result<Url> next_place(const HttpResponse& response) const;
    /// Where an upload stands after something went wrong.
    struct Standing {
        Url place;
        std::uint64_t bytes = 0;
    };
    [[nodiscard]] Result<Standing> ask_standing(const Url& place);

    Client& client_;
    const Url base_;
    const catalog::OllamaName name_;
    const std::string repository_;  // "/v2/<namespace>/<model>"
};

}  // namespace sutazai::fetch
