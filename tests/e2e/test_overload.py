"""More requests than there is room for."""

import concurrent.futures
import signal
import subprocess
import time

import httpx

import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


def test_a_full_queue_is_said_with_429(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1", MAX_QUEUE="1")
    body = {"messages": harness.user("Hello"), "stream": False, **SHORT}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.stream("Hello", temperature=0, max_tokens=130_000, ignore_eos=True) as running:
            events = harness.iterate_sse(running.iter_raw())
            for _ in range(3):
                next(events)
            waiting = pool.submit(server.post, harness.STREAM_PATH, body)
            time.sleep(0.3)
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


def test_a_hundred_at_once(server):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(server.chat, f"Question {i}", max_tokens=16, temperature=0, ignore_eos=True) for i in range(200)]
        assert {answer.result().usage["completion_tokens"] for answer in answers} == {16}


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
