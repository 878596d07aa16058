#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/ollama_models.h"
#include "base/error.h"
#include "base/model_parts.h"
#include "catalog/gguf_file.h"
#include "catalog/model_file.h"
#include "catalog/scanner.h"
#include "models/model_status.h"

/// What there is to be known of models, for those who ask in Ollama's words.
namespace sutazai::serve {

/// Of each model what a list tells. Looks into a file once for each state of it; where a store says what the file is,
/// not even that. Blocks on the disk; any thread.
class ModelCards {
  public:
    ModelCards() = default;
    /// Of those that can be used, in their order. What is known of other files is forgotten.
    [[nodiscard]] std::vector<api::ollama::ModelCard> all(std::span<const catalog::ModelFile> files);
    /// Nothing for a file that cannot be used.
    [[nodiscard]] std::optional<api::ollama::ModelCard> of(const catalog::ModelFile& file);
    /// With all that its file says, whatever its store does.
    [[nodiscard]] Result<api::ollama::ModelCard> full(const catalog::ModelFile& file);

  private:
    struct Known {
        FileStamps stamps;
        Result<catalog::GgufSummary> summary;
    };
    [[nodiscard]] Result<catalog::GgufSummary> summary_of(const catalog::ModelFile& file);

    std::mutex mutex_;
    std::map<std::string, Known> known_;  // by path
};

[[nodiscard]] api::ollama::RunningModel running_model(api::ollama::ModelCard card, const models::ModelStatus& status);

/// All of one model; `verbose`: with the arrays of its file's metadata. Blocks on the disk.
[[nodiscard]] Result<api::ollama::ModelPage> model_page(ModelCards& cards, const catalog::ModelFile& file,
                                                        const catalog::ModelSources& sources, bool verbose);

}  // namespace sutazai::serve
