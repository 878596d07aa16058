#include "spans/request_spans.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "base/visible_text.h"

namespace sutazai::spans {

namespace {

using serve::RequestRecord;
using Clock = RequestRecord::Clock;

constexpr std::size_t kTraceBytes = 16;
constexpr std::size_t kSpanBytes = 8;
constexpr std::size_t kMostNameBytes = 128;

std::string random_id(std::size_t bytes) {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    std::string id;
    while (id.size() < bytes) {
        const std::uint64_t drawn = random();
        for (int shift = 0; shift < 64 && id.size() < bytes; shift += 8)
            id += static_cast<char>((drawn >> shift) & 0xff);
    }
    if (id.find_first_not_of('\0') == std::string::npos) id.back() = 1;  // all zero is no id
    return id;
}

std::string from_hex(std::string_view text) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::string bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
    }
    return bytes;
}

/// Names of models that do not exist are what somebody has written.
std::string name_text(std::string_view name) {
    return visible(name.substr(0, kMostNameBytes));
}

class Attributes {
  public:
    explicit Attributes(otlp::Span& span) : span_(span) {}
    void add(const char* key, std::string value) { value_of(key).set_string_value(std::move(value)); }
    void add(const char* key, std::uint64_t value) { value_of(key).set_int_value(static_cast<std::int64_t>(value)); }
    void add(const char* key, double value) { value_of(key).set_double_value(value); }
    void add_list(const char* key, std::string value) {
        value_of(key).mutable_array_value()->add_values()->set_string_value(std::move(value));
    }

  private:
    otlp::AnyValue& value_of(const char* key) {
        otlp::KeyValue& attribute = *span_.add_attributes();
        attribute.set_key(key);
        return *attribute.mutable_value();
    }
    otlp::Span& span_;
};

/// Spans have wall clock times; what was measured is steady.
class Times {
  public:
    explicit Times(const RequestRecord& record) : record_(record) {}
    [[nodiscard]] std::uint64_t unix_ns(Clock::time_point when) const {
        const auto at = record_.arrived_at.time_since_epoch() +
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(when - record_.arrived);
        return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(at).count());
    }

  private:
    const RequestRecord& record_;
};

void describe(otlp::Span& span, const RequestRecord& record) {
    Attributes attributes(span);
    const std::string model = name_text(record.model);
    attributes.add("gen_ai.operation.name", to_string(record.operation));
    attributes.add("gen_ai.provider.name", "sutazai");
    if (!model.empty()) attributes.add("gen_ai.request.model", model);
    if (record.leased) attributes.add("gen_ai.response.model", model);
    if (record.max_tokens >= 0) {
        attributes.add("gen_ai.request.max_tokens", static_cast<std::uint64_t>(record.max_tokens));
    }
    const bool draws = record.operation == serve::Operation::kChat || record.operation == serve::Operation::kCompletion;
    if (draws) attributes.add("gen_ai.request.temperature", static_cast<double>(record.temperature));
    if (record.n_generations > 1) attributes.add("gen_ai.request.choice.count", std::uint64_t{record.n_generations});
    attributes.add("gen_ai.response.id", record.id);
    if (record.finish && !record.error) attributes.add_list("gen_ai.response.finish_reasons", record.outcome());
    attributes.add("gen_ai.usage.input_tokens", std::uint64_t{record.prompt_tokens});
    attributes.add("gen_ai.usage.output_tokens", std::uint64_t{record.generated_tokens});
    attributes.add("gen_ai.usage.cache_read.input_tokens", std::uint64_t{record.cached_tokens});
    if (record.error) attributes.add("error.type", record.outcome());
    if (!record.route.empty()) attributes.add("http.route", std::string(record.route));
    if (!record.upstream.empty()) attributes.add("sutazai.upstream", record.upstream);
    if (record.first_token) {
        attributes.add("sutazai.time_to_first_token",
                       std::chrono::duration<double>(*record.first_token - record.arrived).count());
    }
}

}  // namespace

std::vector<otlp::Span> spans_of(const RequestRecord& record) {
    constexpr std::size_t kTrace = 3;  // where it begins in the header
    constexpr std::size_t kParent = kTrace + 2 * kTraceBytes + 1;
    const std::string_view from = record.traceparent;
    const bool continues = !from.empty();
    if (!record.ended || (continues && (from.back() - (from.back() <= '9' ? '0' : 'a' - 10)) % 2 == 0)) return {};

    const Times times(record);
    std::vector<otlp::Span> all(1);
    otlp::Span& span = all.front();
    span.set_trace_id(continues ? from_hex(from.substr(kTrace, 2 * kTraceBytes)) : random_id(kTraceBytes));
    span.set_span_id(random_id(kSpanBytes));
    if (continues) span.set_parent_span_id(from_hex(from.substr(kParent, 2 * kSpanBytes)));
    const std::string model = name_text(record.model);
    span.set_name(std::string(to_string(record.operation)) + (model.empty() ? "" : " " + model));
    span.set_kind(otlp::Span::KIND_SERVER);
    span.set_start_time_unix_nano(times.unix_ns(record.arrived));
    span.set_end_time_unix_nano(times.unix_ns(*record.ended));
    describe(span, record);
    if (record.error) span.mutable_status()->set_code(otlp::Status::CODE_ERROR);

    struct Part {
        const char* name;
        std::optional<Clock::time_point> begin;
        std::optional<Clock::time_point> end;
    };
    // Of another server's model nothing is heard of its prompt.
    const auto begun = record.begun ? record.begun : record.first_token;
    const std::array parts{Part{"model", record.arrived, record.leased}, Part{"queue", record.leased, begun},
                           Part{"prompt", record.begun, record.first_token},
                           Part{"generate", record.first_token, record.last_token}};
    for (const Part& part : parts) {
        if (!part.begin) continue;
        otlp::Span child;
        child.set_trace_id(all.front().trace_id());
        child.set_span_id(random_id(kSpanBytes));
        child.set_parent_span_id(all.front().span_id());
        child.set_name(part.name);
        child.set_kind(otlp::Span::KIND_INTERNAL);
        child.set_start_time_unix_nano(times.unix_ns(*part.begin));
        child.set_end_time_unix_nano(times.unix_ns(part.end.value_or(*record.ended)));
        all.push_back(std::move(child));
        if (!part.end) break;  // it went no further
    }
    return all;
}

otlp::ExportTraceServiceRequest export_request(std::vector<otlp::Span> spans, std::string_view version) {
    otlp::ExportTraceServiceRequest out;
    otlp::ResourceSpans& resource = *out.add_resource_spans();
    otlp::KeyValue& name = *resource.mutable_resource()->add_attributes();
    name.set_key("service.name");
    name.mutable_value()->set_string_value("sutazai");
    otlp::KeyValue& number = *resource.mutable_resource()->add_attributes();
    number.set_key("service.version");
    number.mutable_value()->set_string_value(std::string(version));
    otlp::ScopeSpans& scope = *resource.add_scope_spans();
    scope.mutable_scope()->set_name("sutazai");
    scope.mutable_scope()->set_version(std::string(version));
    for (otlp::Span& span : spans) *scope.add_spans() = std::move(span);
    return out;
}

}  // namespace sutazai::spans
