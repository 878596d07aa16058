// Whether the file of a model is still the one that is known or loaded.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "models/warm_set.h"

namespace sutazai::models {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

/// A file that was written in place so lately may not be all there yet.
constexpr milliseconds kSettle{500};
/// A request looks so often at a file that does not settle; then it gets an error.
constexpr int kMostLooks = 3;

}  // namespace

/// At a lease. What is warm and changed begins to leave; what is cold gets its outline read.
asio::awaitable<std::optional<Error>> WarmSet::check_file(std::shared_ptr<WarmSet> self, Model& model) {
    while (model.looking) {
        co_await model.looked.wait(ipc::Signal::kEver);
        if (model.slot || model.loading || !model.stamps.empty()) co_return std::nullopt;
    }
    struct Looking {
        Model& model;
        explicit Looking(Model& its) : model(its) { model.looking = true; }
        ~Looking() {
            model.looking = false;
            model.looked.notify();
        }
    };
    const Looking looking(model);
    for (int n = 1;; ++n) {
        if (model.loading || self->draining_ || self->closed_) co_return std::nullopt;
        const bool is_warm = model.slot != nullptr;
        std::string path = model.path;
        if (auto file = self->catalog_.find(model.name)) {
            path = std::move(file->path);
        } else if (!is_warm) {
            co_await self->files_->catch_up();
            file = self->catalog_.find(model.name);
            if (!file) co_return file.error();
            path = std::move(file->path);
        }
        std::vector<FileStamps> known{is_warm ? model.slot->stamps : model.stamps};
        if (is_warm) known.push_back(model.bad_stamps);
        Result<FileLook> look = co_await look_at_file(self->looks_, path, std::move(known));
        if (!look) {
            // Better what is there than nothing.
            if (is_warm) co_return std::nullopt;
            co_return look.error();
        }
        if (model.loading || (model.slot != nullptr) != is_warm) co_return std::nullopt;  // it has gone on meanwhile
        if (!is_warm) co_return self->take_cold(model, path, std::move(*look));
        const auto age = look->written_in_place(model.slot->stamps);
        if (!age) {
            self->take_warm(model, path, std::move(*look));
            co_return std::nullopt;
        }
        self->note_file(model, kChangedOnDisk);
        if (*age >= kSettle || *age <= -kSettle) co_return self->take_rewritten(model, path, std::move(*look));
        if (n == kMostLooks) {
            self->dismiss_stale(model);
            co_return Error{
                ErrorCode::kUnavailable,
                fmt::format("the file of '{}' is being written to; it is loaded anew afterwards", model.name), "model",
                1};
        }
        asio::steady_timer timer(co_await asio::this_coro::executor, kSettle - *age);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

std::optional<Error> WarmSet::take_cold(Model& model, const std::string& path, FileLook look) {
    if (look.stamps.empty()) {
        model.stamps.clear();
        const bool is_part = model_parts(path).size() > 1;
        return Error{
            is_part ? ErrorCode::kLoadFailed : ErrorCode::kNotFound,
            is_part ? fmt::format("the model \"{}\" is not whole: its part {} is missing", model.name, look.missing)
                    : fmt::format("the file of model \"{}\" is not there", model.name),
            "model"};
    }
    if (!look.summary) return std::nullopt;
    // What failed with another file may work with this one.
    if (look.stamps != model.bad_stamps && model.last_error) model.backoff.forget();
    if (*look.summary) {
        take_over(model, path, std::move(look.stamps), **look.summary);
        return std::nullopt;
    }
    model.stamps.clear();
    if (model.backoff.refuses(Clock::now())) return std::nullopt;  // which says why
    model.bad_stamps = std::move(look.stamps);
    return on_load_failed(model, look.summary->error());
}

void WarmSet::take_over(Model& model, const std::string& path, FileStamps stamps, const catalog::GgufSummary& summary) {
    std::uint64_t bytes = 0;
    for (const FileStamp& stamp : stamps) bytes += stamp.bytes;
    if (bytes != model.file_bytes) model.correction.reset();  // another file
    model.path = path;
    model.file_bytes = bytes;
    model.stamps = std::move(stamps);
    model.bad_stamps.clear();
    model.architecture = summary.architecture;
    model.vocabulary = static_cast<std::uint32_t>(std::min<std::uint64_t>(summary.vocabulary, UINT32_MAX));
    model.estimate = estimate_memory(summary, shape_);
}

/// The file that the engine maps is as it was, whatever has its name now: it may serve for as long as need be.
void WarmSet::take_warm(Model& model, const std::string& path, FileLook look) {
    Slot& slot = *model.slot;
    if (look.stamps.empty()) return note_file(model, kFileGone);
    if (look.stamps == slot.stamps) return note_file(model, "");
    if (slot.stale || !look.summary) return;  // all has been said
    const auto stay = [&](const Error& why) {
        model.bad_stamps = std::move(look.stamps);
        note_file(model, fmt::format("{}, and cannot be loaded: {}", kChangedOnDisk, why.message));
    };
    if (!*look.summary) return stay(look.summary->error());
    Model other(model.name, model.backoff);
    take_over(other, path, look.stamps, **look.summary);
    if (const auto error = reason_not_to_fit(other)) return stay(*error);
    take_over(model, path, std::move(look.stamps), **look.summary);
    note_file(model, kChangedOnDisk);
    dismiss_stale(model);
}

/// The very file that the engine maps has other bytes now: there are no old weights any more.
std::optional<Error> WarmSet::take_rewritten(Model& model, const std::string& path, FileLook look) {
    std::optional<Error> error;
    if (!look.summary) {
        error = model.last_error;  // what was wrong with it was told before
    } else if (*look.summary) {
        take_over(model, path, std::move(look.stamps), **look.summary);
    } else {
        model.stamps.clear();
        model.bad_stamps = std::move(look.stamps);
        error = Error{ErrorCode::kLoadFailed, fmt::format("'{}' could not be loaded: its file was changed on disk: {}",
                                                          model.name, look.summary->error().message)};
        model.last_error = error;
    }
    dismiss_stale(model);
    return error;
}

void WarmSet::dismiss_stale(Model& model) {
    if (!model.slot || model.slot->stale) return;
    spdlog::info("model {}: is loaded anew, since its file has changed", model.name);
    model.slot->stale = model.slot->leaving = model.slot->dismissed = true;
    arrange();
}

void WarmSet::note_file(Model& model, std::string note) {
    if (!note.empty() && note != model.file_note) spdlog::warn("model {}: {}", model.name, note);
    model.file_note = std::move(note);
}

}  // namespace sutazai::models
