#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/generation.h"
#include "serve/context.h"
#include "serve/event_sink.h"

/// What the tests of answers share; for tests only.
namespace sutazai::serve::testing_support {

/// Keeps each flush. Takes only the first `takes` of them.
class TestSink final : public EventSink {
  public:
    [[nodiscard]] std::string& buffer() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> flush() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish() override;

    [[nodiscard]] std::string text() const;

    std::size_t takes = SIZE_MAX;
    std::vector<std::string> flushed;
    bool touched = false;
    bool finished = false;

  private:
    std::string buffer_;
};

/// A prompt, or the one message of a chat, that is a command to the fake engine.
[[nodiscard]] GenerationRequest prompt(std::string command);
[[nodiscard]] GenerationRequest chat(std::string command);

/// One model, "m", which the fake engine serves.
class ServeTest : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    using Body = std::function<boost::asio::awaitable<void>(Context&)>;

    /// Runs `body`, then drains the engines and waits until everything has ended.
    void run(Body body);

    config::Settings settings_;

  private:
    std::filesystem::path folder_;
};

/// Waits up to ten seconds until no request is open in an engine; false when one still is.
[[nodiscard]] boost::asio::awaitable<bool> all_requests_end(Context& context);

}  // namespace sutazai::serve::testing_support
