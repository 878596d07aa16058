#include "fetch/lanes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

namespace sutazai::fetch {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kLeastPart = PartialFile::kMostUnsaved;
constexpr std::uint64_t kMostPart = 128ULL << 20;
constexpr std::uint64_t kPartsOfAFile = 64;
/// Parts of a quick network's only connection are asked for together, up to so much.
constexpr std::uint64_t kMostAtOnce = 512ULL << 20;
constexpr int kMostRedirects = 10;
constexpr milliseconds kLook{100};
/// One connection is enough for a quick network, and its data comes in order; for each so long that it is slow there is
/// one more.
constexpr milliseconds kOneMoreAfter{1000};
/// Bytes a second from which on a network is quick, and the processors are what holds a download up.
constexpr double kQuick = 256e6;
/// The rate is looked at so often, or after so many bytes.
constexpr milliseconds kRateLook{250};
constexpr std::uint64_t kRateLookBytes = 8ULL << 20;
constexpr milliseconds kLongestPause{30'000};
/// So much must come before earlier failures are forgotten.
constexpr std::uint64_t kProgress = 64ULL << 10;
constexpr std::size_t kMostWords = 4096;

std::uint64_t part_bytes(std::uint64_t size) {
    return std::clamp(size / kPartsOfAFile, kLeastPart, kMostPart);
}

/// Retry-After in seconds, as far as we are ready to wait.
milliseconds retry_after(const std::string& header) {
    int seconds = 0;
    std::from_chars(header.data(), header.data() + header.size(), seconds);
    return std::clamp(milliseconds(1000) * std::max(seconds, 0), milliseconds(0), kLongestPause);
}

}  // namespace

Lanes::Lanes(Client& client, const Wanted& wanted, PartialFile& file, std::string validator)
    : client_(client), wanted_(wanted), file_(file), validator_(std::move(validator)), multi_(make_multi()) {}

Result<Lanes::End> Lanes::run(bool ranges, const OnBytes& on_bytes) {
    ranges_ = ranges;
    // One stream begins at the beginning.
    if (!ranges && file_.completed() > 0) {
        if (auto done = file_.start_over(); !done) return std::unexpected(std::move(done.error()));
    }
    looked_ = Clock::now();
    looked_bytes_ = file_.completed();
    const std::uint64_t size = file_.size();
    const std::uint64_t part = wanted_.part_bytes > 0 ? wanted_.part_bytes : part_bytes(size);
    const auto missing = file_.missing(ranges ? part : size);
    queue_.assign(missing.begin(), missing.end());
    lanes_.resize(ranges ? std::min<std::size_t>(wanted_.connections, queue_.size()) : 1);
    for (Lane& lane : lanes_) lane.transfer = std::make_unique<Transfer>(client_.access());
    const auto end = [this](Result<End> result) {
        for (Lane& lane : lanes_) stop(lane);
        return result;
    };
    while (file_.completed() < size) {
        if (client_.stop().stop_requested()) return end(cancelled());
        hand_out_parts();
        int running = 0;
        if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) {
            return end(fail(ErrorCode::kInternal, "libcurl failed"));
        }
        bool handled = false;
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
            const auto lane =
                std::ranges::find(lanes_, message->easy_handle, [](const Lane& one) { return one.transfer->handle(); });
            const CURLcode code = message->data.result;
            stop(*lane);
            handled = true;
            if (lane->end) return end(*lane->end);
            if (auto done = finish(*lane, code); !done) return end(std::unexpected(std::move(done.error())));
        }
        if (auto done = look_at_stalls(); !done) return end(std::unexpected(std::move(done.error())));
        look_at_rate();
        on_bytes(file_.completed(), size);
        if (!handled) curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(kLook.count()), nullptr);
    }
    on_bytes(size, size);
    return end(End::kWhole);
}

std::size_t Lanes::lanes_allowed() const {
    // A server must have shown that it knows ranges.
    return confirmed_ ? 1 + static_cast<std::size_t>(slow_ / kOneMoreAfter) : 1;
}

void Lanes::hand_out_parts() {
    for (Lane& lane : lanes_) {
        if (static_cast<std::size_t>(&lane - lanes_.data()) >= lanes_allowed()) return;
        if (lane.running || Clock::now() < lane.not_before) continue;
        if (lane.part.bytes() == 0) {
            lane.part = next_part();
            if (lane.part.bytes() == 0) continue;
        }
        start(lane);
    }
}

/// Empty when there is none.
Range Lanes::next_part() {
    if (queue_.empty()) return {};
    Range next = queue_.front();
    queue_.pop_front();
    // From one part to the next a connection does nothing for a moment, and of a quick network there is only one.
    while (is_quick_ && lanes_allowed() == 1 && !queue_.empty() && queue_.front().begin == next.end &&
           queue_.front().end - next.begin <= kMostAtOnce) {
        next.end = queue_.front().end;
        queue_.pop_front();
    }
    return next;
}

void Lanes::start(Lane& lane) {
    lane.redirects = 0;
    lane.direct = direct_.has_value();
    aim(lane, direct_.value_or(wanted_.url));
}

void Lanes::aim(Lane& lane, const Url& url) {
    std::vector<std::string> headers = client_.authorization(url);
    if (ranges_) {
        headers.push_back(fmt::format("Range: bytes={}-{}", lane.part.begin, lane.part.end - 1));
        if (!validator_.empty()) headers.push_back("If-Range: " + validator_);
    }
    lane.checked = false;
    lane.words.clear();
    lane.active = Clock::now();
    lane.transfer->aim(url, headers, [this, &lane](std::string_view piece) { return take(lane, piece); });
    curl_multi_add_handle(multi_.get(), lane.transfer->handle());
    lane.running = true;
}

void Lanes::stop(Lane& lane) {
    if (!std::exchange(lane.running, false)) return;
    curl_multi_remove_handle(multi_.get(), lane.transfer->handle());
}

bool Lanes::take(Lane& lane, std::string_view piece) {
    lane.active = Clock::now();
    const long status = lane.transfer->status();
    if (status < 200 || status >= 300) {
        lane.words.append(piece.substr(0, kMostWords - std::min(kMostWords, lane.words.size())));
        return true;
    }
    if (!lane.checked && !check_head(lane)) return false;
    if (piece.size() > lane.part.bytes()) {
        lane.fatal = Error{ErrorCode::kUnavailable, fmt::format("{} sends more than the {} bytes that there should be",
                                                                lane.transfer->url().authority(), file_.size())};
        return false;
    }
    if (auto written = file_.write(lane.part.begin, std::as_bytes(std::span(piece))); !written) {
        lane.fatal = std::move(written.error());
        return false;
    }
    lane.active = Clock::now();  // the disk may have held us up
    lane.part.begin += piece.size();
    lane.since_failure += piece.size();
    lane.renewed = false;
    if (ranges_ && lane.since_failure >= kProgress) lane.tries = 0;
    return true;
}

bool Lanes::check_head(Lane& lane) {
    const Transfer& transfer = *lane.transfer;
    if (const std::string coding = transfer.header("content-encoding"); !coding.empty() && coding != "identity") {
        lane.fatal =
            Error{ErrorCode::kUnavailable, fmt::format("{} sends the file in a coding ({}) that nobody asked for",
                                                       transfer.url().authority(), coding)};
        return false;
    }
    if (transfer.status() == 206 && ranges_) {
        const auto range = parse_content_range(transfer.header("content-range"));
        if (range && range->size != file_.size()) {
            if (!wanted_.digest) {
                lane.end = End::kChanged;
            } else {
                lane.fatal =
                    Error{ErrorCode::kUnavailable, fmt::format("{} has {} bytes of what should be {}",
                                                               transfer.url().authority(), range->size, file_.size())};
            }
            return false;
        }
        if (!range || range->range.begin != lane.part.begin) {
            lane.end = End::kNoRanges;
            return false;
        }
        confirmed_ = true;
    } else if (transfer.status() != 200) {
        lane.fatal = Error{ErrorCode::kUnavailable,
                           fmt::format("{} answers with status {}", transfer.url().authority(), transfer.status())};
        return false;
    } else if (ranges_ && lane.part != Range{0, file_.size()}) {
        // The whole, where a part was asked for.
        lane.end = validator_.empty() ? End::kNoRanges : End::kChanged;
        return false;
    }
    lane.checked = true;
    direct_ = transfer.url();
    return true;
}

Result<void> Lanes::finish(Lane& lane, CURLcode code) {
    if (lane.fatal) return std::unexpected(std::move(*lane.fatal));
    if (code != CURLE_OK) {
        Error why = lane.transfer->failure(code);
        if (why.code == ErrorCode::kForbidden) return std::unexpected(std::move(why));
        return try_again(lane, std::move(why));
    }
    const long status = lane.transfer->status();
    if (status < 200 || status >= 300) return answer_status(lane, status);
    if (lane.part.bytes() == 0) {
        lane.tries = 0;
        return {};
    }
    return try_again(lane, {ErrorCode::kUnavailable,
                            fmt::format("{} ended its answer too early", lane.transfer->url().authority())});
}

Result<void> Lanes::answer_status(Lane& lane, long status) {
    const Transfer& transfer = *lane.transfer;
    auto target = transfer.redirect();
    if (!target) return std::unexpected(std::move(target.error()));
    if (*target) {
        if (++lane.redirects > kMostRedirects) {
            return fail(ErrorCode::kUnavailable,
                        fmt::format("{} redirects more than {} times", wanted_.url.authority(), kMostRedirects));
        }
        aim(lane, **target);
        return {};
    }
    HttpResponse response{status, lane.words, transfer.url(), transfer.headers()};
    if (status == 401 && !lane.renewed) {
        lane.renewed = true;
        auto done = client_.answer_challenge(transfer.url(), response.header("www-authenticate"));
        if (!done) return done;
        aim(lane, transfer.url());
        return {};
    }
    Error why{ErrorCode::kUnavailable, fmt::format("{}: {}", transfer.url().authority(), describe(response))};
    if (is_passing(status)) return try_again(lane, std::move(why), retry_after(response.header("retry-after")));
    // The address that a redirect led to is good for a while only.
    if (std::exchange(lane.direct, false)) {
        direct_.reset();
        return try_again(lane, std::move(why));
    }
    if (status == 404 || status == 410) why.code = ErrorCode::kNotFound;
    if (status == 401 || status == 403) why.code = ErrorCode::kForbidden;
    return std::unexpected(std::move(why));
}

Result<void> Lanes::try_again(Lane& lane, Error why, milliseconds least) {
    direct_.reset();
    if (!ranges_) {
        // Without ranges there is no going on in the middle.
        if (auto done = file_.start_over(); !done) return done;
        lane.part = {0, file_.size()};
    }
    lane.since_failure = 0;
    const Patience& patience = client_.patience();
    if (++lane.tries >= patience.tries) {
        why.message += fmt::format(" ({} tries)", lane.tries);
        return std::unexpected(std::move(why));
    }
    const milliseconds wait = std::min(patience.first_pause * (1 << (lane.tries - 1)), kLongestPause);
    spdlog::info("download: {}; another try", why.message);
    lane.not_before = Clock::now() + std::max(wait, least);
    return {};
}

void Lanes::look_at_rate() {
    const auto took = Clock::now() - looked_;
    const std::uint64_t bytes = file_.completed() - looked_bytes_;
    if (took < kRateLook && bytes < kRateLookBytes) return;
    is_quick_ = static_cast<double>(bytes) >= kQuick * std::chrono::duration<double>(took).count();
    if (!is_quick_) slow_ += took;
    // What comes out of order is read again for its sum, which had better not be from the disk.
    file_.go_around_cache(is_quick_ && std::ranges::count(lanes_, true, &Lane::running) <= 1);
    looked_ += took;
    looked_bytes_ += bytes;
}

Result<void> Lanes::look_at_stalls() {
    const auto now = Clock::now();
    for (Lane& lane : lanes_) {
        if (!lane.running || now - lane.active <= client_.patience().stall) continue;
        stop(lane);
        const double seconds = std::chrono::duration<double>(client_.patience().stall).count();
        auto done = try_again(lane, {ErrorCode::kUnavailable, fmt::format("{}: no byte came for {} s",
                                                                          lane.transfer->url().authority(), seconds)});
        if (!done) return done;
    }
    return {};
}

}  // namespace sutazai::fetch
