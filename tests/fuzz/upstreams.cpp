// What another server answers, in each form, in pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "require.h"
#include "upstream/answer_reader.h"
#include "upstream/model_list.h"
#include "upstream/remote_error.h"

namespace {

using sutazai::upstream::AnswerForm;

/// The first byte says which form it is, and how it is cut.
void read_stream(AnswerForm form, std::string_view bytes, std::size_t piece) {
    constexpr sutazai::upstream::AnswerBounds kBounds{.text_bytes = 100, .score_bytes = 100};
    sutazai::upstream::AnswerReader reader(form, kBounds);
    sutazai::GenerationUpdate update;
    for (; !bytes.empty() && !update.finished; bytes.remove_prefix(std::min(piece, bytes.size()))) {
        if (const auto taken = reader.take(bytes.substr(0, piece), update); !taken) {
            REQUIRE(!taken.error().message.empty());
            return;
        }
    }
    if (!update.finished) REQUIRE(reader.end(update) || !update.finished);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
    const std::size_t piece = 1 + data[0] / 8;
    switch (data[0] % 8) {
        case 0: read_stream(AnswerForm::kChatChunks, bytes, piece); break;
        case 1: read_stream(AnswerForm::kTextChunks, bytes, piece); break;
        case 2: read_stream(AnswerForm::kOllamaLines, bytes, piece); break;
        case 3: (void)sutazai::upstream::read_vectors(AnswerForm::kOpenAiVectors, bytes); break;
        case 4: (void)sutazai::upstream::read_vectors(AnswerForm::kOllamaVectors, bytes); break;
        case 5: (void)sutazai::upstream::read_model_list(sutazai::UpstreamKind::kOllama, bytes); break;
        case 6: (void)sutazai::upstream::read_model_list(sutazai::UpstreamKind::kOpenAi, bytes); break;
        default: REQUIRE(!sutazai::upstream::error_of_answer(400 + data[0], bytes, 0, "far").message.empty());
    }
    return 0;
}
