#pragma once

#include <memory>
#include <vector>

/// Images in a prompt, as the model reads them.
namespace sutazai::llama {

/// Positions of a prompt that hold rows of numbers made of an image, in place of tokens. The tokens there are below
/// zero, and stand for the image: equal images have equal ones.
struct ImageRun {
    int first = 0;
    int n_tokens = 0;
    bool whole = false;  ///< each row sees all others: they are computed in one batch
    std::shared_ptr<const std::vector<float>> rows =
        {};  ///< [n_tokens][embedding width]; null: they were not asked for
};

/// By position. They are kept as long as the prompt may have to be computed again.
using PromptImages = std::vector<ImageRun>;

}  // namespace sutazai::llama
