"""Spans for an OpenTelemetry collector: what they say, and that no request waits for them."""

import contextlib
import http.server
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import harness
from harness import wait_until

GREEDY = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector:
    """Takes spans, or answers with `status`, or does not answer until it is let."""

    def __init__(self):
        self.status = 200
        self.spans = []
        self.go = threading.Event()
        self.go.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.path == "/otlp/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.go.wait()
                if collector.status == 200:
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/otlp"

    def take(self, message):
        for resource in message.resource_spans:
            assert values_of(resource.resource.attributes)["service.name"] == "sutazai"
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def roots(self):
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def named(self, name):
        return [span for span in self.roots() if span.name == name]


@contextlib.contextmanager
def collecting():
    collector = Collector()
    try:
        yield collector
    finally:
        collector.go.set()
        collector.server.shutdown()
        collector.server.server_close()


@pytest.fixture(scope="module")
def collector():
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def traced(tmp_path_factory, toy, collector):
    with harness.running(tmp_path_factory.mktemp("traced"), "--model", toy, OTLP_ENDPOINT=collector.url) as server:
        yield server


def values_of(attributes) -> dict:
    def value(any_value):
        kind = any_value.WhichOneof("value")
        if kind == "array_value":
            return [value(each) for each in any_value.array_value.values]
        return getattr(any_value, kind)

    return {attribute.key: value(attribute.value) for attribute in attributes}


def test_a_chat_is_a_span_with_its_parts(traced, collector):
    header = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "asked-1"}
    asked = {"model": "toy", "messages": harness.user("Tell me a secret."), **GREEDY}
    answer = traced.post("/v1/chat/completions", asked, headers=header)
    usage = answer.json()["usage"]

    def mine():
        return [span for span in collector.roots() if span.trace_id.hex() == TRACE]

    (span,) = wait_until("the span has come", mine, 20)
    assert span.name == "chat toy" and span.parent_span_id.hex() == PARENT
    told = values_of(span.attributes)
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.provider.name"] == "sutazai"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == "toy"
    assert told["gen_ai.request.max_tokens"] == 8 and told["gen_ai.request.temperature"] == 0
    assert told["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert told["gen_ai.usage.output_tokens"] == usage["completion_tokens"] == 8
    assert told["gen_ai.response.finish_reasons"] == ["length"]
    assert told["gen_ai.response.id"] == "asked-1" and told["http.route"] == "/v1/chat/completions"
    parts = [each for each in collector.spans if each.parent_span_id == span.span_id]
    assert [part.name for part in parts] == ["model", "queue", "prompt", "generate"]
    assert span.start_time_unix_nano <= parts[0].start_time_unix_nano
    assert parts[-1].end_time_unix_nano <= span.end_time_unix_nano
    for part, following in zip(parts, parts[1:]):
        assert part.end_time_unix_nano == following.start_time_unix_nano
    assert all("secret" not in str(each) for each in collector.spans), "prompts are nobody's business"


def test_errors_and_other_work_are_spans(traced, collector):
    traced.post("/v1/chat/completions", {"model": "none", "messages": harness.user("Hi")})
    traced.post("/v1/embeddings", {"model": "toy", "input": "Hi"})
    failed = wait_until("the failed one has come", lambda: collector.named("chat none"), 20)[0]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert values_of(failed.attributes)["error.type"] == "not_found"
    assert wait_until("the other one has come", lambda: collector.named("embeddings toy"), 20)


def test_what_is_not_sampled_is_not_sent(traced, collector):
    other = "a" * 32
    asked = {"model": "toy", "messages": harness.user("Hi"), **GREEDY}
    traced.post("/v1/chat/completions", asked, headers={"traceparent": f"00-{other}-{PARENT}-00"})
    traced.post("/v1/chat/completions", asked, headers={"traceparent": f"00-{'b' * 32}-{PARENT}-01"})
    traced.post("/v1/chat/completions", asked, headers={"traceparent": "nonsense"})
    wait_until("the sampled one has come", lambda: "b" * 32 in [span.trace_id.hex() for span in collector.roots()], 20)
    assert other not in [span.trace_id.hex() for span in collector.roots()]


def counted(server) -> dict:
    lines = server.client.get(server.url + "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("sutazai_traced_requests_total")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in found}


def test_nobody_waits_for_a_collector_that_hangs_or_is_away(tmp_path, toy):
    with collecting() as collector:
        collector.go.clear()
        with harness.running(tmp_path, "--model", toy, OTLP_ENDPOINT=collector.url) as server:
            for _ in range(5):
                server.chat("Hello", **GREEDY)
            collector.status = 500
            collector.go.set()
            wait_until("what could not be sent is counted", lambda: counted(server)["dropped"] >= 1, 20)
            collector.status = 200
            server.chat("Hello", **GREEDY)
            wait_until("it goes on", lambda: counted(server)["sent"] >= 1, 30)
            assert server.log().count("not sent to OTLP_ENDPOINT") == 1
    with harness.running(tmp_path / "away", "--model", toy, OTLP_ENDPOINT="http://127.0.0.1:1") as server:
        server.chat("Hello", **GREEDY)
        wait_until("it is counted", lambda: counted(server)["dropped"] >= 1, 20)


def test_what_is_no_url_is_refused(tmp_path):
    refused = harness.run_binary("serve", "--otlp-endpoint", "collector:4318", folder=tmp_path)
    assert refused.returncode != 0 and "OTLP_ENDPOINT" in refused.stderr
