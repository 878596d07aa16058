#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/client.h"
#include "fetch/download.h"
#include "fetch/partial_file.h"
#include "fetch/ranges.h"
#include "fetch/transfer.h"

namespace sutazai::fetch {

/// The connections of one download. On the thread of who runs it.
class Lanes {
  public:
    /// `validator`: what If-Range is to hold the server to; empty where a digest does that.
    Lanes(Client& client, const Wanted& wanted, PartialFile& file, std::string validator);

    enum class End : std::uint8_t {
        kWhole,
        kNoRanges,  ///< the server does not give ranges: all must come in one stream
        kChanged    ///< it is no longer the file that it was
    };
    /// Until nothing is missing. `ranges`: in parts, else everything in one stream.
    [[nodiscard]] Result<End> run(bool ranges, const OnBytes& on_bytes);

  private:
    using Clock = std::chrono::steady_clock;

    /// One connection, with a part or without.
    struct Lane {
        std::unique_ptr<Transfer> transfer;
        Range part;  ///< what of it is missing; empty: the lane is free
        bool running = false;
        bool checked = false;  ///< the head of this answer
        bool direct = false;   ///< this try began at direct_
        bool renewed = false;  ///< credentials, since the last byte
        int redirects = 0;
        int tries = 0;
        std::uint64_t since_failure = 0;  ///< bytes
        Clock::time_point active;
        Clock::time_point not_before;
        std::string words;  ///< of an answer that is an error
        std::optional<Error> fatal;
        std::optional<End> end;
    };

    void start(Lane& lane);
    void aim(Lane& lane, const Url& url);
    void stop(Lane& lane);
    [[nodiscard]] bool take(Lane& lane, std::string_view piece);
    [[nodiscard]] bool check_head(Lane& lane);
    [[nodiscard]] Result<void> finish(Lane& lane, CURLcode code);
    [[nodiscard]] Result<void> answer_status(Lane& lane, long status);
    [[nodiscard]] Result<void> try_again(Lane& lane, Error why, std::chrono::milliseconds least = {});
    [[nodiscard]] Result<void> look_at_stalls();
    void look_at_rate();
    [[nodiscard]] std::size_t lanes_allowed() const;
    void hand_out_parts();
    [[nodiscard]] Range next_part();

    Client& client_;
    const Wanted& wanted_;
    PartialFile& file_;
    const std::string validator_;
    Clock::time_point looked_;         // at the rate
    std::uint64_t looked_bytes_ = 0;   // completed then
    std::chrono::nanoseconds slow_{};  // how long one connection did not fill the network
    bool is_quick_ = false;            // at the last look
    bool ranges_ = true;
    bool confirmed_ = false;     // the server has given a range
    std::optional<Url> direct_;  // where the last answer came from, after redirects
    std::deque<Range> queue_;
    Multi multi_;
    std::vector<Lane> lanes_;  // last: its transfers are taken out of multi_ before that goes
};

}  // namespace sutazai::fetch
