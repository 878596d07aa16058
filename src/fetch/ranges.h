#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Which bytes of a file are there, and the file beside a partial download that remembers it. Pure.
namespace sutazai::fetch {

struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;  ///< behind the last byte

    bool operator==(const Range&) const = default;
    [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
};

/// A set of bytes, as sorted ranges that do not touch.
class RangeSet {
  public:
    /// Ranges may overlap what is there. An empty one changes nothing.
    void add(Range range);
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    /// Where the first byte is missing.
    [[nodiscard]] std::uint64_t front() const;
    /// What of [0, size) is missing, in pieces of at most `most` bytes.
    [[nodiscard]] std::vector<Range> missing(std::uint64_t size, std::uint64_t most) const;
    [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }

    bool operator==(const RangeSet&) const = default;

  private:
    std::vector<Range> ranges_;
    std::uint64_t bytes_ = 0;
};

/// What is remembered of a partial download.
struct PartialState {
    std::uint64_t size = 0;
    std::string validator;  ///< of what has no known digest: a strong ETag or a date, as If-Range takes it
    RangeSet done;          ///< written, which counts for as long as the machine runs
    std::string boot = {};  ///< the kernel's name of that run
    RangeSet synced = {};   ///< of `done`, what is on the disk

    bool operator==(const PartialState&) const = default;
};

inline constexpr std::size_t kMostStateBytes = 1 << 20;

[[nodiscard]] std::string encode_state(const PartialState& state);
/// Nothing for what encode_state() would not have written: ranges out of order, touching, or past the size.
[[nodiscard]] std::optional<PartialState> decode_state(std::string_view text);

/// "bytes 0-99/1234": the range, and the size of the whole, which must be told. Nothing when it cannot be.
struct ContentRange {
    Range range;
    std::uint64_t size = 0;
};
[[nodiscard]] std::optional<ContentRange> parse_content_range(std::string_view header);

}  // namespace sutazai::fetch
