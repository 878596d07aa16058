"""Starting, draining, and clients that go away."""

import os
import signal
import socket
import threading
import time

import httpx
import pytest

import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


def test_health_and_readiness(server):
    for path in ("/health", "/ready"):
        response = server.client.get(server.url + path)
        assert response.status_code == 200
        assert response.json()["status"]


def refuses_connections(server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5 * harness.SLOWDOWN).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it stopped listening under this one
        return False
    return False


def test_sigterm_lets_running_streams_finish(start_server, endless):
    """With the time that they need; nobody else is served meanwhile."""
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="2",
                          DRAIN_TIMEOUT_S=str(int(60 * harness.SLOWDOWN)))  # fmt: skip
    with server.stream("Hello", temperature=0, max_tokens=2000, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        for _ in range(4):
            next(events)
        server.process.send_signal(signal.SIGTERM)
        harness.wait_until("new connections are refused", lambda: refuses_connections(server))
        assert server.process.poll() is None, "the one that runs is served"
        rest = list(events)
    assert rest[-1]["type"] == "complete", rest[-1]
    assert rest[-1]["usage"]["completion_tokens"] == 2000
    assert server.process.wait(20 * harness.SLOWDOWN) == 0
    assert server.engines() == []


def test_the_drain_has_a_deadline(start_server, endless):
    """Past it a stream ends with an error, not in silence."""
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1", DRAIN_TIMEOUT_S="1")
    with server.stream("Hello", temperature=0, max_tokens=130_000, ignore_eos=True) as response:
        pieces = response.iter_raw()
        body = next(pieces)
        at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        # Read at once and understood afterwards: whoever is slower than the model has not read all when its time is over.
        body += b"".join(pieces)
    events = harness.parse_sse([body])
    assert events[-1]["type"] == "error", events[-1]
    assert events[-1]["code"] == "engine_died", events[-1]
    assert [event["type"] for event in events].count("error") == 1
    assert server.process.wait(15 * harness.SLOWDOWN) == 0
    assert 1 <= time.monotonic() - at < 10 * harness.SLOWDOWN
    assert server.engines() == []


def test_the_deadline_holds_for_an_engine_that_does_not_end(start_server, toy):
    server = start_server("--model", toy, DRAIN_TIMEOUT_S="1")
    engine = server.only_engine()
    os.kill(engine, signal.SIGSTOP)  # as if its disk took nothing
    at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(15 * harness.SLOWDOWN) == 0
    assert 1 <= time.monotonic() - at < 5 * harness.SLOWDOWN
    assert not harness.is_running(engine)
    assert "did not end in time and was killed" in server.log()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once(start_server, toy, name):
    server = start_server("--model", toy, DRAIN_TIMEOUT_S="600")
    engine = server.only_engine()
    os.kill(engine, signal.SIGSTOP)
    server.process.send_signal(signal.Signals[name])
    harness.wait_until("the log says how to end it", lambda: "a second SIGINT or SIGTERM ends at once" in server.log())
    time.sleep(0.3)
    assert server.process.poll() is None
    at = time.monotonic()
    server.process.send_signal(signal.Signals[name])
    assert server.process.wait(15 * harness.SLOWDOWN) == 0
    assert time.monotonic() - at < 3 * harness.SLOWDOWN
    assert not harness.is_running(engine)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_idle_server_ends_at_once(start_server, toy, name):
    server = start_server("--model", toy)
    at = time.monotonic()
    server.process.send_signal(signal.Signals[name])
    assert server.process.wait(20 * harness.SLOWDOWN) == 0
    assert time.monotonic() - at < 3 * harness.SLOWDOWN


def test_open_idle_connections_do_not_hold_the_end_up(start_server, toy):
    server = start_server("--model", toy)
    with socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20 * harness.SLOWDOWN) == 0
        assert time.monotonic() - at < 5 * harness.SLOWDOWN


def test_sigterm_while_a_model_loads(model_file, tmp_path):
    """Ended at any moment of the start: exit code 0 and no engine left."""
    for delay in (0.0, 0.01, 0.03, 0.1):
        server = harness.Server(tmp_path / f"early-{delay}", "--model", f"toy={model_file()}")
        try:
            server.wait_for_port()
            time.sleep(delay * harness.SLOWDOWN)
            server.stop()
        finally:
            server.kill()


def test_a_client_that_goes_away_frees_its_place(start_server, endless):
    """With room for one sequence only, the next request can be answered only when the first is gone."""
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1")
    for _ in range(3):
        with server.stream("Hello", temperature=0, max_tokens=130_000, ignore_eos=True) as response:
            events = harness.iterate_sse(response.iter_raw())
            for _ in range(4):
                next(events)
        at = time.monotonic()
        assert server.chat("Hello", **SHORT).usage["completion_tokens"] == 8
        assert time.monotonic() - at < 1 * harness.SLOWDOWN


def test_a_client_that_goes_away_while_waiting_frees_its_place(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1", MAX_QUEUE="1")
    body = {"messages": harness.user("Hello"), "stream": False, "ignore_eos": True}
    with server.stream("Hello", max_tokens=130_000, ignore_eos=True) as running:
        events = harness.iterate_sse(running.iter_raw())
        for _ in range(3):
            next(events)
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):  # each waits its turn, gives up and leaves the queue
                httpx.post(server.url + harness.STREAM_PATH, json=body | {"max_tokens": 130_000}, timeout=0.3)
            time.sleep(0.1 * harness.SLOWDOWN + 0.6)  # half a second later the server asks whether it is still there
    harness.wait_until(
        "there is room again", lambda: server.post(harness.STREAM_PATH, body | {"max_tokens": 8}).status_code == 200, 2
    )


def test_a_slow_reader_holds_nobody_up(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="4")
    with server.stream("Hello", temperature=0, max_tokens=4_000, ignore_eos=True) as slow:
        events = harness.iterate_sse(slow.iter_raw())
        next(events), next(events)
        for _ in range(5):  # nothing is read of the first stream meanwhile
            at = time.monotonic()
            assert server.chat("Hello", **SHORT).usage["completion_tokens"] == 8
            assert time.monotonic() - at < 3 * harness.SLOWDOWN
        assert list(events)[-1]["usage"]["completion_tokens"] == 4_000


def test_two_servers_on_one_port(start_server, toy, tmp_path):
    server = start_server("--model", toy)
    second = harness.run_binary("serve", "--host", "127.0.0.1", "--port", str(server.port), "--model", toy, folder=tmp_path)
    assert second.returncode != 0
    assert str(server.port) in second.stderr


def test_threads_and_files_do_not_pile_up(server):
    def held():
        return len(os.listdir(f"/proc/{server.pid}/fd")), len(os.listdir(f"/proc/{server.pid}/task"))

    def ask():  # on a connection of its own: a client that keeps them keeps more after a burst that overlapped more
        httpx.post(server.url + harness.STREAM_PATH, json={"messages": harness.user("Hello"), **SHORT}, timeout=60 * harness.SLOWDOWN)

    def burst():
        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(20):
            httpx.get(server.url + "/health")

    burst()
    harness.wait_until("a process stands by", server.standby)
    files, threads = held()
    for _ in range(3):
        burst()
    harness.wait_until("no more files are open than before", lambda: held()[0] <= files + 2, 5)
    assert held()[1] <= threads
