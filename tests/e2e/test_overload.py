"""More requests than there is room for."""

import concurrent.futures
import os
import pathlib
import resource
import signal
import socket
import subprocess
import time

import httpx

import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


def n_waiting(server) -> int:
    metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()
    return metrics["system_info"]["pending_batch_requests"]


def test_a_full_queue_is_said_with_429(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1", MAX_QUEUE="1")
    body = {"messages": harness.user("Hello"), "stream": False, **SHORT}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.stream("Hello", temperature=0, max_tokens=130_000, ignore_eos=True) as running:
            events = harness.iterate_sse(running.iter_raw())
            for _ in range(3):
                next(events)
            waiting = pool.submit(server.post, harness.STREAM_PATH, body)
            harness.wait_until("it waits", lambda: n_waiting(server) == 1)
            for path in (harness.STREAM_PATH, harness.COMPLETIONS_PATH):
                refused = httpx.post(server.url + path, json=body, timeout=5 * harness.SLOWDOWN)
                assert refused.status_code == 429, refused.text
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["code"] == "queue_full"
                assert refused.json()["error"]["type"] == "rate_limit_error"
                streamed = httpx.post(server.url + path, json=body | {"stream": True}, timeout=5 * harness.SLOWDOWN)
                assert streamed.status_code == 429, "a stream is refused before it begins"
            assert not waiting.done()
        assert waiting.result().status_code == 200, "the one that waited is served when the first has gone"
    assert server.chat("Hello", **SHORT).text


def test_a_log_that_nobody_reads_holds_nobody(tmp_path, toy):
    """Standard error is a pipe that is full after 64 KiB: at this level a few hundred requests."""
    settings = {"SUTAZAI_HOME": str(tmp_path / "home"), "LOG_LEVEL": "debug", "STANDBY_ENGINES": "0", "CACHE_WARMUP_ON_STARTUP": "false"}
    process = subprocess.Popen(
        [harness.BINARY, "serve", "--port", "0", "--model", toy], cwd=tmp_path, env=harness.clean_environment(**settings),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    try:
        url = process.stdout.readline().decode().split()[-1]
        with httpx.Client(timeout=10 * harness.SLOWDOWN) as client:
            for _ in range(1500):
                assert client.get(url + "/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20 * harness.SLOWDOWN) == 0
    finally:
        process.kill()
        process.wait()


def test_a_server_without_file_descriptors_waits_and_goes_on(start_server, toy):
    server = start_server("--model", toy, STANDBY_ENGINES="0")
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    held = []
    try:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        for _ in range(20):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            held[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        harness.wait_until("it is said in the log", lambda: "could not be accepted" in server.log())
        spent = cpu_seconds(server.pid)
        time.sleep(1)
        assert cpu_seconds(server.pid) - spent < 0.5, "it tries again and again without a pause"
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
    for connection in held:
        connection.settimeout(10 * harness.SLOWDOWN)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.close()
    assert server.log().count("could not be accepted") == 1, "twenty times a second would fill the log"


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_hundred_at_once(server):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(server.chat, f"Question {i}", max_tokens=16, temperature=0, ignore_eos=True) for i in range(200)]
        assert {answer.result().usage["completion_tokens"] for answer in answers} == {16}


def peak_bytes(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def test_half_sent_bodies_share_their_memory(start_server, toy):
    server = start_server("--model", toy, BODY_MEMORY_BYTES="32MiB")
    head = f"POST {harness.COMPLETIONS_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {8 << 20}\r\n\r\n".encode()
    before = peak_bytes(server.pid)
    held = []
    for _ in range(30):
        held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10 * harness.SLOWDOWN))
        try:
            held[-1].sendall(head + b" " * 6_000_000)
        except OSError:
            pass  # refused while this was still sending

    def refused():
        """Those that have been answered."""
        answers = []
        for connection in held:
            connection.setblocking(False)
            try:
                answers.append(connection.recv(12, socket.MSG_PEEK))
            except OSError:
                pass
        return answers

    harness.wait_until("most are told so", lambda: len(refused()) >= 24)
    assert set(refused()) <= {b"HTTP/1.1 503", b""}
    assert b"HTTP/1.1 503" in refused()
    for path in (harness.STREAM_PATH, harness.COMPLETIONS_PATH):
        large = httpx.post(server.url + path, json={"messages": harness.user("x" * 7_000_000)})
        assert large.status_code == 503 and int(large.headers["retry-after"]) >= 1
        assert large.json()["error"]["code"] == "unavailable" and "BODY_MEMORY_BYTES" in large.json()["error"]["message"]
        small = httpx.post(server.url + path, json={"messages": harness.user("Hello"), "stream": False, **SHORT}, timeout=60 * harness.SLOWDOWN)
        assert small.status_code == 200
    # What is held is 32 MiB; a sanitizer keeps freed memory for a while. Without the budget it would be 180 MB.
    assert peak_bytes(server.pid) - before < (64 if harness.SLOWDOWN == 1 else 128) << 20
    for connection in held:
        connection.close()
    too_long = {"messages": harness.user("x " * 1_000_000)}
    harness.wait_until("there is room again", lambda: httpx.post(server.url + harness.COMPLETIONS_PATH, json=too_long).status_code == 400)


def test_idle_connections_keep_nobody_out(start_server, toy):
    """Neither those that say nothing nor those that have begun a head; requests that run stay."""
    server = start_server("--model", toy, MAX_CONNECTIONS="50", READ_TIMEOUT_S="600", IDLE_TIMEOUT_S="600")
    with server.stream("Hello", temperature=0, max_tokens=4000, ignore_eos=True) as running:
        events = harness.iterate_sse(running.iter_raw())
        next(events)
        for start in (b"", b"GET /health HTTP/1.1\r\nHost: loc", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(100)]
            for connection in held:
                try:
                    connection.sendall(start)
                except OSError:
                    pass  # has made room for one of the later ones
            for _ in range(20):
                assert httpx.get(server.url + "/health", timeout=5 * harness.SLOWDOWN).status_code == 200
            for connection in held:
                connection.close()
        assert list(events)[-1]["type"] == "complete"


def test_connections_over_the_limit_do_not_harm_those_within(start_server, toy):
    server = start_server("--model", toy, MAX_CONNECTIONS="8")
    server.client.get(server.url + "/health")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        def ask(_):
            try:
                return httpx.get(server.url + "/health", timeout=10 * harness.SLOWDOWN).status_code
            except httpx.TransportError:
                return 0

        statuses = set(pool.map(ask, range(200)))
    assert statuses <= {0, 200, 503}
    assert 200 in statuses
    harness.wait_until("a new connection is served", lambda: httpx.get(server.url + "/health").status_code == 200)
