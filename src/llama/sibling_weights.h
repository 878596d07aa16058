#pragma once

#include <set>
#include <string>

#include "kernels/weight_share.h"
#include "llama/model.h"
#include "llama/vocabulary.h"

/// Whose repacked weights a model may start from (kernels/weight_share.h). Any thread; reads small files.
namespace sutazai::llama {

/// Those of the engine that has most of the model's tensors, if that is half of its own at least: all tensors of the
/// same file, or those that have the same digest (artifact/tensor_digests.h) as far as digests of both files are known.
/// Never by name or shape alone.
struct SiblingWeights {
    kernels::WeightShare share;
    std::string sibling;                ///< the name of that engine's model; empty: there is none
    std::set<std::string> spared = {};  ///< tensors that its memory has
};
[[nodiscard]] SiblingWeights sibling_weights(const LoadOptions& options, const ModelSource& source,
                                             const FileStamps& stamps);

}  // namespace sutazai::llama
