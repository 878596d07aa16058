#include "serve/stream_writer.h"

#include <string>
#include <utility>

#include "serve/heavy.h"

namespace sutazai::serve {

namespace asio = boost::asio;

StreamWriter::StreamWriter(BlockingPool& pool, std::shared_ptr<AnswerFormat> format, std::size_t n_generations,
                           EventSink& sink)
    : pool_(pool), format_(std::move(format)), sink_(sink), usages_(n_generations) {}

asio::awaitable<Result<void>> StreamWriter::begin() {
    start();
    return sink_.flush();
}

asio::awaitable<Result<void>> StreamWriter::finish() {
    format_->end(sink_.buffer(), usages_);
    return sink_.finish();
}

Error StreamWriter::explain(Error error, std::size_t index) {
    return format_->explain(std::move(error), index);
}

asio::awaitable<Result<void>> StreamWriter::take(std::span<Generations::Event> events, bool last) {
    if (!started_) {
        for (auto& [index, update] : events) {
            if (update.error) co_return std::unexpected(std::move(*update.error));
        }
        start();
    }
    const std::size_t before = sink_.buffer().size();
    for (auto& [index, update] : events) {
        const std::size_t bytes = json_bytes(update.scores);
        if (bytes > kLightBytes) co_await append_heavy(index, update, bytes);
        format_->update(sink_.buffer(), index, update);
        if (update.finished) usages_.at(index) = update.finished->usage;
        if (update.error) {
            if (auto sent = co_await sink_.finish(); !sent) co_return sent;
            co_return std::unexpected(std::move(*update.error));
        }
    }
    if (last || sink_.buffer().size() == before) co_return Result<void>{};
    co_return co_await sink_.flush();
}

void StreamWriter::start() {
    started_ = true;
    format_->start(sink_.buffer());
}

/// The text and scores of a long prompt that is echoed, for example. Of the update its end is left, which is an error
/// when they could not be encoded.
asio::awaitable<void> StreamWriter::append_heavy(std::size_t index, GenerationUpdate& update, std::size_t bytes) {
    GenerationUpdate content;
    content.delta = std::exchange(update.delta, {});
    content.scores = std::exchange(update.scores, {});
    auto encode = [format = format_, index, content = std::move(content)] {
        std::string out;
        format->update(out, index, content);
        return out;
    };
    Result<std::string> text = co_await run_by_size(pool_, bytes, encode);
    if (text) {
        sink_.buffer() += *text;
    } else {
        update.finished.reset();
        update.error = std::move(text.error());
    }
}

}  // namespace sutazai::serve
