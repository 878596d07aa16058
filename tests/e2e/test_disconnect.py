"""Clients that go away, or that only stop sending (docs/decisions/0014-clients-that-go-away.md)."""

import json
import socket

import pytest

import harness

LONG = {"model": "endless", "temperature": 0, "max_tokens": 100_000, "ignore_eos": True}


@pytest.fixture(scope="module")
def patient(tmp_path_factory, endless):
    """A server whose answers can take minutes."""
    with harness.running(tmp_path_factory.mktemp("patient"), "--model", endless, CONTEXT_TOKENS=harness.ENDLESS) as server:
        yield server


def request(path: str, **fields) -> bytes:
    body = json.dumps({"messages": harness.user("Hello"), **fields}).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body  # fmt: skip


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30 * harness.SLOWDOWN)


def in_work(server) -> int:
    metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()
    return sum(one["requests_running"] + one["requests_waiting"] for one in metrics["performance_stats"].values())


def read_to_end(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("more", [b"", b"G", b"\r\n", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"x" * 100_000],
                         ids=["nothing", "byte", "line", "request", "much"])  # fmt: skip
def test_a_client_that_goes_is_noticed_whatever_it_sent_behind_its_request(patient, stream, more):
    connection = connect(patient)
    connection.sendall(request(harness.COMPLETIONS_PATH, stream=stream, **LONG) + more)
    harness.wait_until("the request runs", lambda: in_work(patient) == 1)
    connection.close()
    harness.wait_until("the request is cancelled", lambda: in_work(patient) == 0)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_half_closed_client_that_goes_later_is_noticed(patient, stream):
    connection = connect(patient)
    connection.sendall(request(harness.COMPLETIONS_PATH, stream=stream, **LONG))
    harness.wait_until("the request runs", lambda: in_work(patient) == 1)
    connection.shutdown(socket.SHUT_WR)
    connection.close()
    harness.wait_until("the request is cancelled", lambda: in_work(patient) == 0)


@pytest.mark.parametrize("path", [harness.STREAM_PATH, harness.COMPLETIONS_PATH])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_half_closed_client_gets_its_answer(server, path, stream):
    with connect(server) as connection:
        connection.sendall(request(path, stream=stream, temperature=0, max_tokens=200, ignore_eos=True))
        connection.shutdown(socket.SHUT_WR)
        head, _, rest = read_to_end(connection).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100 "):  # it took longer than a moment
        head, _, rest = rest.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    if stream:
        assert b"complete" in rest or b"[DONE]" in rest
        assert rest.endswith(b"\r\n0\r\n\r\n")
    else:
        assert json.loads(rest)


def test_requests_pipelined_before_the_half_close_are_all_answered(server):
    with connect(server) as connection:
        one = request(harness.COMPLETIONS_PATH, stream=False, temperature=0, max_tokens=8)
        connection.sendall(one + one + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        data = read_to_end(connection)
    assert data.count(b"HTTP/1.1 200 OK") == 3
