#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "base/error.h"
#include "base/generation.h"
#include "http/exchange.h"
#include "http/services.h"

namespace sutazai::http {

/// How one API family tells of one generation. Appends to the string it is given.
class ChatFormat {
  public:
    virtual ~ChatFormat() = default;
    virtual void start(std::string& out) = 0;
    /// Text, end or error: all that the update holds. Nothing for an update that holds nothing.
    virtual void update(std::string& out, const GenerationUpdate& update) = 0;
    /// The whole answer, for requests that do not stream.
    [[nodiscard]] virtual std::string answer(std::string_view content, const Finished& finished) = 0;
};

/// Made once the model's name in the catalogue is known.
using ChatFormatMaker = std::move_only_function<std::unique_ptr<ChatFormat>(std::string model)>;

/// Runs a chat from lease to last token. A stream that fails before its first event gets the error as its answer, with
/// a status that fits; later failures are events. Cancelling the awaiting coroutine (the client has gone) cancels the
/// generation.
[[nodiscard]] boost::asio::awaitable<Result<void>> run_chat(Services& services, Exchange& exchange,
                                                            api::ChatRequest request, ChatFormatMaker make_format);

}  // namespace sutazai::http
