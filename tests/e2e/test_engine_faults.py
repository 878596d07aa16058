"""Engines that die and files that are no models: one clear error, and everything else goes on."""

import os
import signal
import time

import pytest

import harness
from test_warm_set import model

LONG = {"temperature": 0, "max_tokens": 100_000, "ignore_eos": True}
SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


@pytest.fixture
def roomy(start_server, endless):
    """A server whose streams can run for many seconds."""
    return start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="2")


def test_killing_the_engine_in_mid_stream(roomy):
    before = roomy.chat("Hello", **SHORT).text
    with roomy.stream("Hello", **LONG) as response:
        events = harness.iterate_sse(response.iter_raw())
        for _ in range(5):
            next(events)
        killed = roomy.only_engine()
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        rest = list(events)
        took = time.monotonic() - at
    assert rest[-1]["type"] == "error"
    assert rest[-1]["code"] == "engine_died"
    assert rest[-1]["error"].strip()
    assert [event["type"] for event in rest].count("error") == 1
    assert "complete" not in [event["type"] for event in rest]
    assert took < 1 * harness.SLOWDOWN

    assert roomy.chat("Hello", **SHORT).text == before
    assert roomy.only_engine() != killed
    assert roomy.client.get(roomy.url + "/health").status_code == 200


def test_killing_the_engine_reaches_openai_streams(roomy):
    body = {"model": "endless", "messages": harness.user("Hello"), "stream": True, **LONG}
    with roomy.client.stream("POST", roomy.url + harness.COMPLETIONS_PATH, json=body) as response:
        events = harness.iterate_sse(response.iter_raw())
        for _ in range(5):
            next(events)
        os.kill(roomy.only_engine(), signal.SIGKILL)
        rest = list(events)
    assert rest[-1]["error"]["type"] == "server_error"
    assert "[DONE]" not in rest


def test_killing_the_engine_reaches_an_answer_that_is_no_stream(roomy):
    import threading

    def kill_when_busy():
        harness.wait_until("the engine works", lambda: cpu_seconds(roomy.only_engine()) > busy + 0.3)
        os.kill(roomy.only_engine(), signal.SIGKILL)

    def cpu_seconds(pid):
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    busy = cpu_seconds(roomy.only_engine())
    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    response = roomy.post(harness.STREAM_PATH, {"messages": harness.user("Hello"), "stream": False, **LONG})
    killer.join()
    assert response.status_code in (500, 502, 503)
    assert response.json()["error"]["code"] == "engine_died"


def test_an_idle_engine_that_dies_is_started_again(roomy):
    before = roomy.chat("Hello", **SHORT).text
    first = roomy.only_engine()
    os.kill(first, signal.SIGKILL)
    harness.wait_until("the server has noticed", lambda: not os.path.exists(f"/proc/{first}"))
    assert roomy.chat("Hello", **SHORT).text == before
    assert roomy.only_engine() != first


def test_an_engine_that_stops_responding_to_nothing_else(roomy):
    """While one engine stands still the server answers health checks."""
    pid = roomy.only_engine()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert roomy.client.get(roomy.url + "/health", timeout=5 * harness.SLOWDOWN).status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    assert roomy.chat("Hello", **SHORT).text


def test_a_stopped_engine_is_ended_and_started_again(start_server, endless):
    server = start_server(
        "--model", endless, CONTEXT_TOKENS=harness.ENDLESS, ENGINE_STALL_TIMEOUT_S=str(round(2 * harness.SLOWDOWN))
    )
    before = server.chat("Hello", **SHORT).text
    with server.stream("Hello", **LONG) as response:
        events = harness.iterate_sse(response.iter_raw())
        for _ in range(5):
            next(events)
        stopped = server.only_engine()
        os.kill(stopped, signal.SIGSTOP)
        at = time.monotonic()
        rest = list(events)
        took = time.monotonic() - at
    assert rest[-1]["type"] == "error"
    assert rest[-1]["code"] == "engine_died"
    assert "hung" in rest[-1]["error"]
    assert 2 * harness.SLOWDOWN <= took < 10 * harness.SLOWDOWN

    assert "hung" in model(server, "endless")["last_error"]
    assert server.chat("Hello", **SHORT).text == before
    assert server.only_engine() != stopped
    after = model(server, "endless")
    assert (after["state"], after["crashes"], after["last_error"]) == ("warm", 1, None)
    assert "hung" in after["last_crash"]


def broken_files(good: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"This is a text file, not a model.\n" * 100,
        "magic-only": b"GGUF",
        "head-only": good[:64],
        "truncated-metadata": good[:2000],
        "truncated-weights": good[: len(good) * 2 // 3],
        "huge-counts": b"GGUF" + (3).to_bytes(4, "little") + (2**63 - 1).to_bytes(8, "little") * 2 + good[24:4096],
        "random": b"GGUF" + (3).to_bytes(4, "little") + bytes(range(256)) * 64,
    }


KINDS = list(broken_files(b""))


@pytest.fixture(scope="module")
def server_of_broken_models(tmp_path_factory, model_file, toy):
    folder = tmp_path_factory.mktemp("broken")
    arguments = ["--model", toy]
    for kind, content in broken_files(model_file().read_bytes()).items():
        path = folder / f"{kind}.gguf"
        path.write_bytes(content)
        arguments += ["--model", f"{kind}={path}"]
    with harness.running(folder / "server", *arguments, CACHE_WARMUP_ON_STARTUP="false") as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_model_fails_alone(server_of_broken_models, kind):
    server = server_of_broken_models
    expected = server.chat("Hello", model="toy", **SHORT).text
    for attempt in range(2):
        response = server.post(harness.STREAM_PATH, {"model": kind, "messages": harness.user("Hello")})
        if response.status_code == 200:
            last = harness.parse_sse([response.content])[-1]
            assert last["type"] == "error"
            code, message = last["code"], last["error"]
        else:
            assert response.status_code in (500, 503), f"attempt {attempt}"
            code, message = response.json()["error"]["code"], response.json()["error"]["message"]
        assert code == "load_failed", message
        assert kind in message or "GGUF" in message, message
    assert server.chat("Hello", model="toy", **SHORT).text == expected
    harness.wait_until("only the good model's engine is left", lambda: len(server.engines()) == 1)


def test_a_model_whose_file_is_missing_fails_alone(start_server, toy, tmp_path):
    """Named or not, a file that is gone is said to be gone; the start is refused or the model fails, never the others."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "gone.gguf").symlink_to(tmp_path / "nowhere.gguf")
    server = start_server("--model", toy, "--models-dir", str(folder))
    response = server.post(harness.STREAM_PATH, {"model": "gone", "messages": harness.user("Hello")})
    assert response.status_code in (404, 500, 503)
    assert server.chat("Hello", model="toy", **SHORT).text


def test_killing_the_server_leaves_no_engine(start_server, toy, tmp_path):
    server = harness.Server(tmp_path / "killed", "--model", toy).wait_for_ready()
    try:
        server.chat("Hello", **SHORT)
        engine = server.only_engine()
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()
        harness.wait_until("the engine ends with its server", lambda: not harness.is_running(engine), 3)
    finally:
        server.kill()
