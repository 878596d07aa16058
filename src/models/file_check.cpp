#include "models/file_check.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "models/engine_settings.h"
#include "models/status_of.h"

namespace sutazai::models {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

/// A file that was written in place so lately may not be all there yet.
constexpr milliseconds kSettle{500};
/// A request looks so often at a file that does not settle; then it gets an error.
constexpr int kMostLooks = 3;

struct Looking {
    WarmModel::File& file;
    explicit Looking(WarmModel::File& its) : file(its) { file.looking = true; }
    ~Looking() {
        file.looking = false;
        file.looked.notify();
    }
};

void note_file(WarmModel& model, std::string note) {
    if (!note.empty() && note != model.file.note) spdlog::warn("model {}: {}", model.name, note);
    model.file.note = std::move(note);
}

/// True when it had not begun to leave for another load before.
bool dismiss(WarmModel& model, std::string_view why = "since its file has changed") {
    if (!model.slot || model.slot->stale) return false;
    spdlog::info("model {}: is loaded anew, {}", model.name, why);
    model.slot->stale = model.slot->leaving = model.slot->dismissed = true;
    return true;
}

}  // namespace

FileCheck::FileCheck(const catalog::Catalog& catalog, CatalogKeeper& keeper, const EngineShape& shape,
                     ReasonNotToFit reason)
    : catalog_(catalog), keeper_(keeper), shape_(shape), reason_not_to_fit_(std::move(reason)) {}

asio::awaitable<FileCheck::Verdict> FileCheck::check(WarmModel& model) {
    while (model.file.looking) {
        co_await model.file.looked.wait(ipc::Signal::kEver);
        if (model.slot || model.load.running || !model.file.stamps.empty()) co_return Verdict{};
    }
    const Looking looking(model.file);
    for (int n = 1;; ++n) {
        if (model.load.running || stopped_) co_return Verdict{};
        const bool is_warm = model.slot != nullptr;
        std::vector<FileStamps> known{model.slot ? model.slot->stamps : model.file.stamps};
        if (is_warm) known.push_back(model.file.bad_stamps);
        std::string path = model.file.path;
        if (const catalog::ModelFile* file = catalog_.find_engine(model.key, model.file.path)) {
            path = file->path;
        } else if (!is_warm) {
            co_await keeper_.catch_up();
            file = catalog_.find_engine(model.key);
            if (file == nullptr) co_return Verdict{.error = not_there(model)};
            path = file->path;
        }
        Result<FileLook> look = co_await look_at_file(looks_, path, std::move(known));
        if (!look) {
            // Better what is there than nothing.
            if (is_warm) co_return Verdict{};
            co_return Verdict{.error = look.error()};
        }
        if (model.load.running || (model.slot != nullptr) != is_warm) co_return Verdict{};  // it has gone on meanwhile
        if (!is_warm) co_return take_cold(model, path, std::move(*look));
        const auto age = look->written_in_place(model.slot->stamps);
        if (!age) co_return take_warm(model, path, std::move(*look));
        note_file(model, kChangedOnDisk);
        if (*age >= kSettle || *age <= -kSettle) co_return take_rewritten(model, path, std::move(*look));
        if (n == kMostLooks) {
            Error error{ErrorCode::kUnavailable,
                        fmt::format("the file of '{}' is being written to; it is loaded anew afterwards", model.name),
                        "model", 1};
            co_return Verdict{std::move(error), dismiss(model)};
        }
        asio::steady_timer timer(co_await asio::this_coro::executor, kSettle - *age);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

bool FileCheck::is_too_narrow(const WarmModel& model, std::uint32_t context_tokens) const {
    const bool is_settled = shape_.context_tokens != 0 || model.choices.context_tokens != 0;
    if (is_settled || model.choices.least_context_tokens >= context_tokens || model.load.running) return false;
    if (!model.slot || model.slot->leaving) return true;
    const ipc::ModelInfo& info = model.slot->engine->info();
    return info.context_per_sequence < std::min(context_tokens, info.training_context);
}

asio::awaitable<FileCheck::Verdict> FileCheck::widen(WarmModel& model, std::uint32_t context_tokens) {
    while (model.file.looking) co_await model.file.looked.wait(ipc::Signal::kEver);
    const Looking looking(model.file);
    Result<FileLook> look = co_await look_at_file(looks_, model.file.path, {});
    if (!look) co_return Verdict{.error = look.error()};
    if (!is_too_narrow(model, context_tokens) || stopped_) co_return Verdict{};  // it has gone on meanwhile
    if (!look->summary) co_return Verdict{.error = not_there(model)};
    if (!*look->summary) co_return Verdict{.error = look->summary->error()};
    const catalog::GgufSummary& summary = **look->summary;
    catalog::LoadChoices wider = model.choices;
    wider.least_context_tokens = context_tokens;
    const ModelMemory memory(estimate_memory(
        summary, shape_of(shape_, wider, summary.context_length, model.adapter_bytes, model.projector_bytes)));
    if (const auto error = reason_not_to_fit_(model.name, memory)) {
        co_return Verdict{.error = Error{ErrorCode::kInvalidArgument,
                                         fmt::format("options.num_ctx is {}: {}", context_tokens, error->message),
                                         "options.num_ctx"}};
    }
    model.choices = wider;
    take_over(model, model.file.path, std::move(look->stamps), summary);
    co_return Verdict{.dismissed = dismiss(model, fmt::format("with {} KV cells for a request with num_ctx={}",
                                                              model.file.context_tokens, context_tokens))};
}

Error FileCheck::not_there(const WarmModel& model) const {
    const auto named = catalog_.find(model.name);
    if (!named) return named.error();
    return {ErrorCode::kNotFound, fmt::format("the file of model \"{}\" is not there", model.name), "model"};
}

FileCheck::Verdict FileCheck::take_cold(WarmModel& model, const std::string& path, FileLook look) const {
    if (look.stamps.empty()) {
        model.file.stamps.clear();
        const bool is_part = model_parts(path).size() > 1;
        return {.error = Error{is_part ? ErrorCode::kLoadFailed : ErrorCode::kNotFound,
                               is_part ? fmt::format("the model \"{}\" is not whole: its part {} is missing",
                                                     model.name, look.missing)
                                       : fmt::format("the file of model \"{}\" is not there", model.name),
                               "model"}};
    }
    if (!look.summary) return {};
    // What failed with another file may work with this one.
    if (look.stamps != model.file.bad_stamps && model.failures.last) model.failures.backoff.forget();
    if (*look.summary) {
        take_over(model, path, std::move(look.stamps), **look.summary);
        return {};
    }
    model.file.stamps.clear();
    if (model.failures.backoff.refuses(WarmModel::Clock::now())) return {};  // which says why
    model.file.bad_stamps = std::move(look.stamps);
    return {.error = model.load_failed(look.summary->error())};
}

void FileCheck::take_over(WarmModel& model, const std::string& path, FileStamps stamps,
                          const catalog::GgufSummary& summary) const {
    std::uint64_t bytes = 0;
    for (const FileStamp& stamp : stamps) bytes += stamp.bytes;
    if (bytes != model.file.bytes) model.memory.set_correction(std::nullopt);  // another file
    model.file.path = path;
    model.file.bytes = bytes;
    model.file.stamps = std::move(stamps);
    model.file.bad_stamps.clear();
    model.file.architecture = summary.architecture;
    model.file.vocabulary = static_cast<std::uint32_t>(std::min<std::uint64_t>(summary.vocabulary, UINT32_MAX));
    const EngineShape shape =
        shape_of(shape_, model.choices, summary.context_length, model.adapter_bytes, model.projector_bytes);
    model.file.context_tokens = shape.context_tokens;
    model.memory.set_estimate(estimate_memory(summary, shape));
}

/// The file that the engine maps is as it was, whatever has its name now: it may serve for as long as need be.
FileCheck::Verdict FileCheck::take_warm(WarmModel& model, const std::string& path, FileLook look) const {
    if (look.stamps.empty() || look.stamps == model.slot->stamps) {
        note_file(model, look.stamps.empty() ? kFileGone : "");
        return {};
    }
    if (model.slot->stale || !look.summary) return {};  // all has been said
    const auto reason = [&](const catalog::GgufSummary& summary) {
        const EngineShape shape =
            shape_of(shape_, model.choices, summary.context_length, model.adapter_bytes, model.projector_bytes);
        return reason_not_to_fit_(model.name, ModelMemory(estimate_memory(summary, shape)));
    };
    const auto error = *look.summary ? reason(**look.summary) : std::optional(look.summary->error());
    if (error) {
        model.file.bad_stamps = std::move(look.stamps);
        note_file(model, fmt::format("{}, and cannot be loaded: {}", kChangedOnDisk, error->message));
        return {};
    }
    take_over(model, path, std::move(look.stamps), **look.summary);
    note_file(model, kChangedOnDisk);
    return {.dismissed = dismiss(model)};
}

/// The very file that the engine maps has other bytes now: there are no old weights any more.
FileCheck::Verdict FileCheck::take_rewritten(WarmModel& model, const std::string& path, FileLook look) const {
    std::optional<Error> error;
    if (!look.summary) {
        error = model.failures.last;  // what was wrong with it was told before
    } else if (*look.summary) {
        take_over(model, path, std::move(look.stamps), **look.summary);
    } else {
        model.file.stamps.clear();
        model.file.bad_stamps = std::move(look.stamps);
        error = Error{ErrorCode::kLoadFailed, fmt::format("'{}' could not be loaded: its file was changed on disk: {}",
                                                          model.name, look.summary->error().message)};
        model.failures.last = error;
    }
    return {std::move(error), dismiss(model)};
}

}  // namespace sutazai::models
