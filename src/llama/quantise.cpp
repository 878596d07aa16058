#include "llama/quantise.h"

#include <fmt/format.h>
#include <llama.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "gguf/virtual_file.h"

namespace sutazai::llama {
namespace {

constexpr std::array<std::pair<std::string_view, llama_ftype>, 17> kTypes{{
    {"F32", LLAMA_FTYPE_ALL_F32},
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
    {"BF16", LLAMA_FTYPE_MOSTLY_BF16},
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
    {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},
    {"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},
    {"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M},
    {"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},
    {"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S},
    {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S},
    {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
}};

constexpr std::size_t kCopyBytes = 1 << 20;
/// As files in the making are called in a store, so that what a killed process leaves is cleared away.
constexpr std::string_view kCopyPrefix = "tmp-";

/// What llama.cpp says: the size that the file will have, and what went wrong.
struct Log {
    double quantised_mib = 0;
    std::string last_error;
};

void on_line(ggml_log_level level, const char* text, void* log_pointer) {
    auto& log = *static_cast<Log*>(log_pointer);
    std::string_view line(text);
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    if (level == GGML_LOG_LEVEL_ERROR && !line.empty()) log.last_error = line;
    constexpr std::string_view kSize = "quant size  = ";
    const auto at = line.find(kSize);
    if (at != std::string_view::npos) log.quantised_mib = std::strtod(line.data() + at + kSize.size(), nullptr);
}

/// llama_model_quantize() reads files by their paths alone: one that would be translated while it is read is written
/// out first, beside the output.
Result<std::optional<TempFile>> translated_copy(const QuantiseWork& work) {
    const auto file = gguf::VirtualFile::translated(work.input);
    if (!file) return std::unexpected(file.error());
    if (!*file) return std::nullopt;
    auto copy = TempFile::create(std::filesystem::path(work.output).parent_path(), kCopyPrefix);
    if (!copy) return std::unexpected(copy.error());
    std::vector<char> piece(kCopyBytes);
    for (std::uint64_t at = 0; at < (*file)->size();) {
        const auto read = (*file)->read(at, piece.data(), piece.size());
        if (!read || *read == 0) return std::unexpected(disk_error(work.input + " cannot be read", errno));
        auto written = write_all(copy->file(), std::as_bytes(std::span(piece).first(*read)));
        if (!written) return std::unexpected(written.error());
        at += *read;
    }
    return std::optional(std::move(*copy));
}

}  // namespace

Result<void> quantise(const QuantiseWork& work, const OnSize& on_size) {
    std::optional<llama_ftype> type;
    for (const auto& [name, number] : kTypes) {
        if (name == work.type) type = number;
    }
    if (!type) return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no type of weights", work.type), "type");
    const auto copy = translated_copy(work);
    if (!copy) return std::unexpected(copy.error());
    const std::string input = *copy ? (*copy)->path().string() : work.input;
    Log log;
    llama_log_set(on_line, &log);
    llama_backend_init();
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.nthread = static_cast<std::int32_t>(work.threads);
    params.ftype = *type;
    params.max_buf_size = kQuantiseBufferBytes;
    params.dry_run = true;
    const auto run = [&] { return llama_model_quantize(input.c_str(), work.output.c_str(), &params) == 0; };
    bool done = run();
    if (done) {
        on_size(static_cast<std::uint64_t>(log.quantised_mib * (1 << 20)));
        params.dry_run = false;
        done = run();
    }
    if (done) return {};
    return fail(ErrorCode::kLoadFailed, fmt::format("the weights cannot be quantised: {}", log.last_error));
}

}  // namespace sutazai::llama
