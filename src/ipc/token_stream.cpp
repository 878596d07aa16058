#include "ipc/token_stream.h"

#include <utility>

#include "ipc/channel.h"

namespace sutazai::ipc {

namespace asio = boost::asio;

TokenStream::TokenStream(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}

TokenStream& TokenStream::operator=(TokenStream&& other) noexcept {
    if (this != &other) {
        if (channel_) channel_->abandon();
        channel_ = std::move(other.channel_);
    }
    return *this;
}

TokenStream::~TokenStream() {
    if (channel_) channel_->abandon();
}

TokenStream::Channel& TokenStream::channel() {
    if (!channel_) {
        channel_ = std::make_shared<Channel>(nullptr);
        channel_->fail({ErrorCode::kInternal, "There is no stream to read."});
    }
    return *channel_;
}

asio::awaitable<GenerationUpdate> TokenStream::next() {
    return channel().next(channel_);
}
asio::awaitable<void> TokenStream::ready() {
    return channel().ready(channel_);
}
void TokenStream::on_prompt(PromptListener listener) {
    channel().on_prompt(std::move(listener));
}
bool TokenStream::has_update() const {
    return !channel_ || channel_->has_update();
}

}  // namespace sutazai::ipc
