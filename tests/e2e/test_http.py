"""HTTP that holds: limits, keep-alive, pipelining, codings, Host, Origin, keys."""

import gzip
import json
import socket
import time

import httpx
import pytest

import harness

BODY = json.dumps({"messages": harness.user("Hello"), "max_tokens": 4, "stream": False}).encode()
SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


class Raw:
    """A plain socket."""

    def __init__(self, server, timeout: float = 20):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=timeout * harness.SLOWDOWN)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data: bytes) -> "Raw":
        self.socket.sendall(data)
        return self

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """The next response: status, headers in lower case, body by Content-Length."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, f"closed after {self.buffer!r}"
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            data = self.socket.recv(65536)
            assert data, "closed inside a body"
            self.buffer += data
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, body

    def closed(self) -> bool:
        """Waits for the other side to close; whatever comes before is dropped."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True


def head(method: str = "GET", path: str = "/health", *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def chat_head(length: int = len(BODY), *lines: str) -> bytes:
    return head("POST", harness.STREAM_PATH, "Content-Type: application/json", f"Content-Length: {length}", *lines)


def test_a_connection_is_used_again(server):
    with Raw(server) as raw:
        for _ in range(3):
            status, headers, _ = raw.send(head()).response()
            assert status == 200
            assert headers.get("connection", "keep-alive").lower() != "close"
            assert raw.send(chat_head() + BODY).response()[0] == 200
        assert raw.send(head("GET", "/nothing")).response()[0] == 404, "an error does not end the connection"
        assert raw.send(head()).response()[0] == 200


def test_a_connection_is_used_again_after_a_stream(server):
    with httpx.Client(limits=httpx.Limits(max_connections=1)) as client:
        for _ in range(3):
            with client.stream("POST", server.url + harness.STREAM_PATH, json={"messages": harness.user("Hi"), **SHORT}) as one:
                assert harness.parse_sse(one.iter_raw())[-1]["type"] == "complete"


def test_pipelined_requests_are_answered_in_order(server):
    with Raw(server) as raw:
        raw.send(head() + chat_head() + BODY + head("GET", "/nothing") + head("GET", "/v1/models"))
        assert [raw.response()[0] for _ in range(4)] == [200, 200, 404, 200]


def test_connection_close_is_honoured(server):
    with Raw(server) as raw:
        assert raw.send(head("GET", "/health", "Connection: close")).response()[0] == 200
        assert raw.closed()


def test_http_1_0_gets_an_answer_and_the_end(server):
    with Raw(server) as raw:
        raw.send(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert raw.response()[0] == 200
        assert raw.closed()


def test_a_stream_to_http_1_0_has_no_chunked_framing(server):
    with Raw(server) as raw:
        text = chat_head(len(BODY)).replace(b"HTTP/1.1", b"HTTP/1.0")
        body = BODY.replace(b'"stream": false', b'"stream":  true')
        assert len(body) == len(BODY)
        raw.send(text + body)
        data = b""
        while piece := raw.socket.recv(65536):
            data += piece
    start, _, rest = data.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in start.lower()
    assert harness.parse_sse([rest])[-1]["type"] == "complete"


def test_head_requests_have_no_body(server):
    with Raw(server) as raw:
        raw.send(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := raw.socket.recv(65536):
            data += piece
    assert data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 405"))
    if data.startswith(b"HTTP/1.1 200"):
        assert data.endswith(b"\r\n\r\n")


def test_chunked_request_bodies_are_read(server):
    with Raw(server) as raw:
        raw.send(head("POST", harness.STREAM_PATH, "Content-Type: application/json", "Transfer-Encoding: chunked"))
        for at in range(0, len(BODY), 10):
            piece = BODY[at : at + 10]
            raw.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        assert raw.send(b"0\r\n\r\n").response()[0] == 200


def test_gzip_bodies_are_read_and_other_codings_are_refused_by_name(server):
    with Raw(server) as raw:
        packed = gzip.compress(BODY)
        assert raw.send(chat_head(len(packed), "Content-Encoding: gzip") + packed).response()[0] == 200
        bomb = gzip.compress(b'{"x":"' + b"0" * (64 << 20), 9)
        assert len(bomb) < 100_000
        status, _, body = raw.send(chat_head(len(bomb), "Content-Encoding: gzip") + bomb).response()
        assert (status, json.loads(body)["error"]["code"]) == (413, "payload_too_large")
        status, _, body = raw.send(chat_head(len(packed) - 5, "Content-Encoding: gzip") + packed[:-5]).response()
        assert status == 422 and "gzip" in json.loads(body)["error"]["message"]
    for name in ("br", "zstd", "deflate"):
        with Raw(server) as raw:
            status, headers, body = raw.send(chat_head(len(BODY), f"Content-Encoding: {name}") + BODY).response()
            assert status == 415 and name in json.loads(body)["error"]["message"]
            assert headers["accept-encoding"] == "gzip"


def test_other_transfer_codings_are_refused_by_name(server):
    with Raw(server) as raw:
        raw.send(head("POST", harness.STREAM_PATH, "Content-Type: application/json", "Transfer-Encoding: gzip, chunked"))
        status, _, body = raw.response()
        assert status == 501 and "gzip, chunked" in json.loads(body)["error"]["message"]
        assert raw.closed()


def test_a_byte_order_mark_is_no_part_of_the_body(server):
    with Raw(server) as raw:
        marked = b"\xef\xbb\xbf" + BODY
        assert raw.send(chat_head(len(marked)) + marked).response()[0] == 200


def test_expect_continue(server):
    with Raw(server) as raw:
        raw.send(chat_head(len(BODY), "Expect: 100-continue"))
        assert raw.response()[0] == 100
        assert raw.send(BODY).response()[0] == 200


@pytest.fixture(scope="module")
def tight(tmp_path_factory, toy):
    """A server with low limits."""
    limits = {"MAX_BODY_BYTES": "4096", "MAX_HEADER_BYTES": "2048", "READ_TIMEOUT_S": "1", "IDLE_TIMEOUT_S": "1",
              "ALLOWED_ORIGINS": "https://chat.example.org", "ALLOWED_HOSTS": "models.example.org"}  # fmt: skip
    with harness.running(tmp_path_factory.mktemp("tight"), "--model", toy, **limits) as server:
        yield server


def test_a_body_over_the_limit(tight):
    big = json.dumps({"messages": harness.user("x" * 8000)})
    response = httpx.post(tight.url + harness.STREAM_PATH, content=big, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "payload_too_large"


def test_a_declared_length_over_the_limit_is_refused_before_it_arrives(tight):
    with Raw(tight) as raw:
        assert raw.send(chat_head(10**15)).response()[0] == 413


def test_a_chunked_body_over_the_limit(tight):
    with Raw(tight) as raw:
        raw.send(head("POST", harness.STREAM_PATH, "Content-Type: application/json", "Transfer-Encoding: chunked"))
        try:
            for _ in range(20):
                raw.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except (ConnectionResetError, BrokenPipeError):
            return  # refused and closed while this was still sending
        assert raw.response()[0] == 413


def test_a_head_over_the_limit(tight):
    with Raw(tight) as raw:
        status, _, _ = raw.send(head("GET", "/health", "X-Long: " + "y" * 10_000)).response()
        assert status in (400, 413, 431)


@pytest.mark.parametrize("path", [harness.STREAM_PATH, harness.COMPLETIONS_PATH])
def test_trailers_count_as_headers_do(server, path):
    start = head("POST", path, "Content-Type: application/json", "Transfer-Encoding: chunked")
    start += f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n"
    with Raw(server) as raw:
        assert raw.send(start + b"X-Sum: 1\r\n\r\n").response()[0] == 200
        assert raw.send(head()).response()[0] == 200
    for trailers in (b"X: " + b"x" * 20_000 + b"\r\n\r\n", b"X: " + b"x" * 70_000 + b"\r\n\r\n", b"X: y\r\n" * 5000):
        with Raw(server) as raw:
            status, _, body = raw.send(start + trailers).response()
            assert status == 431 and json.loads(body)["error"]["code"] == "payload_too_large"
            assert raw.closed()


@pytest.mark.parametrize("path", [harness.STREAM_PATH, harness.COMPLETIONS_PATH])
def test_a_header_field_over_64_kib(start_server, toy, path):
    server = start_server("--model", toy, MAX_HEADER_BYTES="1MiB", STANDBY_ENGINES="0")
    for size, expected in ((60_000, 200), (70_000, 431)):
        with Raw(server) as raw:
            line = "X-Long: " + "x" * size
            request = head("POST", path, "Content-Type: application/json", f"Content-Length: {len(BODY)}", line) + BODY
            status, _, body = raw.send(request).response()
            assert status == expected
            if status != 200:
                error = json.loads(body)["error"]
                assert error["code"] == "payload_too_large" and ("param" if path.startswith("/v1") else "field") in error


def test_empty_lines_before_a_request_are_passed_over(server):
    with Raw(server) as raw:
        assert raw.send(b"\r\n\r\n" + head()).response()[0] == 200
        raw.send(chat_head() + BODY + b"\r\n" + head())
        assert [raw.response()[0] for _ in range(2)] == [200, 200]
    with Raw(server) as raw:
        assert raw.send(b"\r\n" * 100 + head()).response()[0] == 400


@pytest.mark.parametrize("start", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: loc", chat_head(), chat_head() + b'{"mes'])
def test_a_slow_sender_is_cut_off(tight, start):
    """Nothing, half a head, half a body: ended by the time limit, not held for ever."""
    with Raw(tight) as raw:
        at = time.monotonic()
        raw.send(start)
        assert raw.closed()
        assert time.monotonic() - at < 5 * harness.SLOWDOWN


@pytest.mark.parametrize(
    "start",
    [b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", chat_head(4000),
     head("POST", harness.STREAM_PATH, "Transfer-Encoding: chunked") + b"f00\r\n"],
)  # fmt: skip
def test_a_sender_of_one_byte_at_a_time_is_cut_off(tight, start):
    """The limit is for the whole head, or head and body, not for each byte."""
    with Raw(tight) as raw:
        at = time.monotonic()
        raw.send(start)
        try:
            while time.monotonic() - at < 10 * harness.SLOWDOWN:
                raw.send(b"y")
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - at < 5 * harness.SLOWDOWN


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n", b"\x00" * 500],
)  # fmt: skip
def test_nonsense_on_the_wire_ends_that_connection_only(tight, data):
    with Raw(tight) as raw:
        raw.send(data)
        assert raw.closed()
    assert httpx.get(tight.url + "/health").status_code == 200


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "models.example.org"])
@pytest.mark.parametrize("port", ["", ":9999"])
def test_hosts_that_are_known_are_served(tight, name, port):
    assert httpx.get(tight.url + "/v1/models", headers={"host": name + port}).status_code == 200


@pytest.mark.parametrize("name", ["evil.example.com", "localhost.evil.example.com", "127.0.0.1.nip.io", "models.example.org.evil", ""])
def test_a_foreign_host_is_forbidden(tight, name):
    """DNS rebinding: the page of a foreign name that resolves to this machine."""
    response = httpx.get(tight.url + "/v1/models", headers={"host": name})
    assert response.status_code in ((400, 403) if name == "" else (403,))
    if response.status_code == 403:
        assert response.json()["error"]["code"] == "forbidden"


def test_two_hosts_or_none_are_no_way_around(tight):
    for lines in (["Host: localhost", "Host: evil.example.com"], []):
        with Raw(tight) as raw:
            raw.send("\r\n".join(["GET /v1/models HTTP/1.1", *lines, "", ""]).encode())
            assert raw.response()[0] in (400, 403)


def test_a_foreign_origin_is_forbidden(tight):
    for origin in ("https://evil.example.com", "https://chat.example.org.evil.com", "http://chat.example.org", "null"):
        response = httpx.post(tight.url + harness.STREAM_PATH, headers={"origin": origin}, json=json.loads(BODY))
        assert response.status_code == 403, origin
        assert "access-control-allow-origin" not in response.headers


def test_an_allowed_origin_may_read(tight):
    origin = "https://chat.example.org"
    response = httpx.post(tight.url + harness.STREAM_PATH, headers={"origin": origin}, json=json.loads(BODY))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert "origin" in response.headers["vary"].lower()
    streamed = httpx.post(
        tight.url + harness.STREAM_PATH, headers={"origin": origin}, json={"messages": harness.user("Hi"), **SHORT}
    )
    assert streamed.headers["access-control-allow-origin"] == origin
    missing = httpx.get(tight.url + "/nothing", headers={"origin": origin})
    assert missing.headers["access-control-allow-origin"] == origin, "pages may read errors too"


def test_preflight(tight):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,authorization"}
    good = httpx.options(tight.url + harness.STREAM_PATH, headers={"origin": "https://chat.example.org", **asked})
    assert good.status_code in (200, 204)
    assert good.headers["access-control-allow-origin"] == "https://chat.example.org"
    assert "POST" in good.headers["access-control-allow-methods"]
    allowed = good.headers["access-control-allow-headers"].lower()
    assert "content-type" in allowed and "authorization" in allowed
    bad = httpx.options(tight.url + harness.STREAM_PATH, headers={"origin": "https://evil.example.com", **asked})
    assert bad.status_code == 403
    assert "access-control-allow-origin" not in bad.headers


KEYED = [("GET", "/v1/models"), ("POST", harness.STREAM_PATH), ("POST", harness.COMPLETIONS_PATH), ("GET", "/nothing")]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, toy):
    settings = {"API_KEYS": "alpha-key,beta-key", "ALLOWED_ORIGINS": "https://chat.example.org"}
    with harness.running(tmp_path_factory.mktemp("keyed"), "--model", toy, **settings) as server:
        yield server


@pytest.mark.parametrize(("method", "path"), KEYED)
@pytest.mark.parametrize(
    "value", [None, "Bearer wrong", "Bearer", "alpha-key", "Basic YWxwaGEta2V5", "Bearer alpha-ke", "Bearer alpha-keyy",
              "Bearer alpha-key,beta-key"]
)  # fmt: skip
def test_without_a_key_there_is_nothing(keyed, method, path, value):
    headers = {"authorization": value} if value is not None else {}
    response = httpx.request(method, keyed.url + path, headers=headers, json=json.loads(BODY) if method == "POST" else None)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("key", ["alpha-key", "beta-key"])
def test_each_key_opens_every_route(keyed, key):
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.get(keyed.url + "/v1/models", headers=headers).status_code == 200
    assert httpx.post(keyed.url + harness.STREAM_PATH, headers=headers, json=json.loads(BODY)).status_code == 200


def test_health_needs_no_key(keyed):
    assert httpx.get(keyed.url + "/health").status_code == 200
    assert httpx.get(keyed.url + "/ready").status_code == 200


def test_preflight_needs_no_key(keyed):
    asked = {"origin": "https://chat.example.org", "access-control-request-method": "POST"}
    assert httpx.options(keyed.url + harness.STREAM_PATH, headers=asked).status_code in (200, 204)
    refused = httpx.get(keyed.url + "/v1/models", headers={"origin": "https://chat.example.org"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://chat.example.org"
