#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "config/settings.h"
#include "http/held_body.h"
#include "http/request.h"
#include "http/router.h"

namespace sutazai::http {

/// What is wrong with a request as HTTP, and the status that says so in every family.
struct Refusal {
    Error error;
    unsigned status = 400;
};

/// One request out of its bytes: what matters here of its head, and its body. The limits: MAX_HEADER_BYTES for the head
/// and the trailers behind a chunked body together, kMostFieldBytes for each of their fields, MAX_BODY_BYTES for the
/// body, and as it comes what all bodies may take. Trailers say nothing here. One thread; `settings` outlives it.
class RequestParser final : public boost::beast::http::basic_parser<true> {
  public:
    static constexpr std::size_t kMostFieldBytes = 64 << 10;  ///< name and value

    /// The bodies of those routes of `router` that stream are not held: no limit counts for them, and who reads them
    /// takes them in pieces.
    RequestParser(const config::Settings& settings, const BodyBudget& budget, const Router* router = nullptr);

    [[nodiscard]] std::string_view target() const { return target_; }  ///< empty until it has come
    [[nodiscard]] bool expects_continue() const { return expects_continue_; }

    /// Once, when the head has come: the request without its body.
    [[nodiscard]] std::expected<Request, Refusal> take_head();
    /// What has come of it since the last call.
    [[nodiscard]] HeldBody take_body() { return std::move(body_); }
    [[nodiscard]] bool has_body() const { return !body_.text().empty(); }
    [[nodiscard]] bool streams() const { return streams_; }

    /// What is to be answered after put(), or the reading of what to put, has failed; nothing when nobody is left to be
    /// told, or the time is up.
    [[nodiscard]] std::optional<Refusal> refusal(boost::system::error_code failure) const;

  private:
    using Text = boost::beast::string_view;
    using Field = boost::beast::http::field;
    using Failure = boost::system::error_code;

    void on_request_impl(boost::beast::http::verb verb, Text method, Text target, int version,
                         Failure& failure) override;
    void on_response_impl(int code, Text reason, int version, Failure& failure) override;
    void on_field_impl(Field field, Text name, Text value, Failure& failure) override;
    void on_header_impl(Failure& failure) override;
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, Failure& failure) override;
    std::size_t on_body_impl(Text bytes, Failure& failure) override;
    void on_chunk_header_impl(std::uint64_t size, Text extensions, Failure& failure) override;
    std::size_t on_chunk_body_impl(std::uint64_t remain, Text bytes, Failure& failure) override;
    void on_finish_impl(Failure& failure) override;

    void count(std::size_t bytes, Failure& failure);

    const config::Settings& settings_;
    const Router* router_;
    Request request_;
    std::string target_;
    std::string transfer_encoding_;
    HeldBody body_;
    std::size_t most_body_bytes_;
    std::size_t head_bytes_ = 0;  // and the trailers'
    int n_hosts_ = 0;
    bool expects_continue_ = false;
    bool field_is_too_long_ = false;
    bool no_room_ = false;
    bool streams_ = false;
};

}  // namespace sutazai::http
