#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "gguf/outline.h"

namespace sutazai::gguf {

/// An outline that is being changed into what llama.cpp expects, and the file that it is of. What is asked to be
/// renamed or dropped and is not there is no error: files of one family differ. One thread.
class Draft {
  public:
    /// Both outlive it. `in` is read where an array that stayed in the file is asked for.
    Draft(Outline& outline, std::istream& in) : outline_(outline), in_(in) {}

    [[nodiscard]] const Outline& outline() const { return outline_; }

    void set_text(std::string_view key, std::string_view text);
    void set_u32(std::string_view key, std::uint32_t value);
    void set_f32(std::string_view key, float value);
    void set_i32s(std::string_view key, std::span<const std::int32_t> values);
    void set_bytes(std::string_view key, std::string bytes);  ///< an array of 8-bit numbers
    void remove(std::string_view key);
    void remove_all(std::string_view prefix);

    /// The value of `from` under `to` as well, unless there is one already.
    void copy(std::string_view from, std::string_view to);
    /// The value of `from` is there under `to` instead, unless there is one already.
    void move(std::string_view from, std::string_view to);
    /// What each key has that begins with `from` is there under `to` instead; the architecture is renamed with them.
    void rename_architecture(std::string_view from, std::string_view to);
    void set_u32_if_missing(std::string_view key, std::uint32_t value);
    void set_f32_if_missing(std::string_view key, float value);
    void set_text_if_missing(std::string_view key, std::string_view text);

    /// The texts of an array; empty when there is none of that key. kLoadFailed when it is larger than any vocabulary.
    [[nodiscard]] Result<std::vector<std::string>> texts(std::string_view key);
    /// Of 32-bit numbers, however long; the same.
    [[nodiscard]] Result<std::vector<std::int32_t>> i32s(std::string_view key);
    /// Leaves an array its first `count` elements.
    [[nodiscard]] Result<void> shorten(std::string_view key, std::uint64_t count);
    /// Is it token `id` that has this text?
    [[nodiscard]] Result<bool> token_is(std::size_t id, std::string_view text);

    /// True when there were any.
    bool drop_tensors(std::string_view prefix);
    void rename_tensor(std::string_view from, std::string_view to);
    /// In each name that holds `part`, its first place.
    void rename_part(std::string_view part, std::string_view to);
    /// Other tensors change places: a tensor is to be asked for again after a drop.
    [[nodiscard]] Tensor* tensor(std::string_view name);
    std::vector<Tensor>& tensors() { return outline_.tensors; }

  private:
    Value& value(std::string_view key);
    [[nodiscard]] Result<void> load(Value& value);

    Outline& outline_;
    std::istream& in_;
};

/// The numbers of "blk.<number>." and what follows it; nothing for other names.
struct BlockName {
    std::uint64_t block = 0;
    std::string_view rest;
};
[[nodiscard]] std::optional<BlockName> parse_block_name(std::string_view name);

}  // namespace sutazai::gguf
