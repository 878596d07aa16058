#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/image.h"
#include "llama/tokenizer.h"
#include "sched/types.h"

struct llama_model;

namespace sutazai::llama {

/// What the model reads of one image: tokens that its projector puts around and between rows, and the rows. Constant.
struct SeenImage {
    struct Piece {
        std::vector<sched::Token> tokens = {};                ///< of rows: those that stand for them, below zero
        std::shared_ptr<const std::vector<float>> rows = {};  ///< [tokens][embedding width]; null: these are tokens
        bool is_rows = false;
        bool whole = false;  ///< ImageRun::whole
    };
    std::vector<Piece> pieces;
    std::size_t n_tokens = 0;  ///< of all pieces
    bool has_rows = false;     ///< false: they were not asked for
};

/// Makes rows of a model's numbers out of images, by llama.cpp's mtmd. An image is read once, however often it is asked
/// for, as long as its rows are among those used last. Any thread; one image is encoded at a time.
class Vision {
  public:
    struct Options {
        std::string path;  ///< GGUF file of the projector
        int threads = 1;
        int most_rows_at_once = 512;                              ///< that the model computes in one batch
        std::uint64_t most_kept_bytes = std::uint64_t{64} << 20;  ///< of rows
    };
    /// `model`, which has its vocabulary, outlives this. kLoadFailed for what is no projector of this model.
    [[nodiscard]] static Result<std::unique_ptr<Vision>> load(const Options& options, const llama_model* model);
    ~Vision();
    Vision(const Vision&) = delete;
    Vision& operator=(const Vision&) = delete;

    /// Why no image is taken although there is a projector, as a clause; empty: they are taken.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }

    /// Decodes the image, and makes its rows if `encodes`. kInvalidArgument when it cannot be decoded, kCancelled when
    /// `cancelled` said so, which is asked often.
    [[nodiscard]] Result<std::shared_ptr<const SeenImage>> see(const Image& image, bool encodes,
                                                               const CancelCheck& cancelled) const;

    /// Images whose rows were made, so far.
    [[nodiscard]] std::uint64_t encoded() const;

  private:
    struct Impl;
    Vision();
    [[nodiscard]] std::shared_ptr<const SeenImage> find(const Digest& digest, bool encodes) const;
    void keep(const Digest& digest, const std::shared_ptr<const SeenImage>& seen) const;
    [[nodiscard]] Result<std::shared_ptr<const SeenImage>> read(const Image& image, bool encodes) const;

    std::unique_ptr<Impl> impl_;
    std::string refusal_;
};

}  // namespace sutazai::llama
