"""The warm set as its users see it: cache/manage, keep_alive, memory, what a restart remembers, `sutazai ps` and `cache`."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import time

import harness
import pytest

MANAGE = "/api/v1/streaming/cache/manage"
SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


@pytest.fixture(scope="module")
def models(model_file):
    """The --model arguments of four toy models, m1 to m4."""
    return [text for i in range(1, 5) for text in ("--model", f"m{i}={model_file(i)}")]


@pytest.fixture(scope="module")
def folder(model_file, tmp_path_factory):
    """The same four as files of a folder."""
    path = tmp_path_factory.mktemp("folder")
    for i in range(1, 5):
        os.link(model_file(i), path / f"m{i}.gguf")
    return path


def manage(server, action, **fields):
    response = server.post(MANAGE, {"action": action, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def model(server, name):
    (found,) = [entry for entry in manage(server, "status")["models"] if entry["name"] == name]
    return found


def states(server):
    return {entry["name"]: entry["state"] for entry in manage(server, "status")["models"]}


def warm(server):
    return sorted(name for name, state in states(server).items() if state == "warm")


def family(pid):
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def resident_bytes(server):
    """Of the server and its engines; pages that they share count once."""
    total = 0
    for pid in family(server.pid):
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


# --- cache/manage


def test_status_follows_the_models(start_server, models):
    server = start_server(*models, MODEL_CACHE_SIZE="2", CACHE_WARMUP_ON_STARTUP="false")
    status = manage(server, "status")
    assert (status["warmed_models"], status["max_models"]) == (0, 2)
    assert status["total_models"] == len(status["models"]) >= 4, "the demo model may lie beside the binary"
    assert status["total_cache_size_mb"] == 0
    for name in ("m1", "m1", "m1", "m2"):
        server.chat("Hello there", model=name, **SHORT)
    status = manage(server, "status")
    assert status["warmed_models"] == 2
    assert status["cache_hit_rate"] == 50.0
    assert status["prefix_hit_rate"] > 0, "the second and third prompt were there already"
    assert status["total_cache_size_mb"] > 5
    one = model(server, "m1")
    assert one["state"] == "warm" and one["pid"] in server.engines()
    assert (one["requests"], one["found_warm"], one["in_use"]) == (3, 2, 0)
    assert one["bytes_estimated"] == sum(one["estimate"].values())
    assert one["bytes_measured"] > 1 << 20
    slack = 64 << 20 if harness.SLOWDOWN == 1 else 512 << 20  # a sanitizer's own memory is in what is measured
    assert abs(one["bytes_estimated"] - one["bytes_measured"]) < slack
    assert one["last_used"] is not None and one["unload_at"] is None and one["pinned"] is False
    assert one["prefixes"] >= 1
    assert set(one["artifacts"]) == {"count", "bytes", "restored_tokens"}
    metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()
    for figure in ("total_models", "warmed_models", "cache_hit_rate", "total_cache_size_mb", "prefix_hit_rate"):
        assert metrics["cache_status"][figure] == status[figure], "one source"


def test_warm_up_pin_and_evict(start_server, models):
    server = start_server(*models, MODEL_CACHE_SIZE="2", CACHE_WARMUP_ON_STARTUP="false")
    answer = manage(server, "warmup", models=["m1", "nobody", "m2", "m3"])
    assert [(one["model"], one["success"]) for one in answer["results"]] == [
        ("m1", True), ("nobody", False), ("m2", True), ("m3", False)]  # fmt: skip
    assert answer["success"] is False
    assert "room" in answer["results"][3]["message"] or "place" in answer["results"][3]["message"]
    assert warm(server) == ["m1", "m2"]
    assert manage(server, "pin", models=["m2"])["success"] is True
    for _ in range(3):
        server.chat("Hello", model="m1", **SHORT)
    server.chat("Hello", model="m3", **SHORT)
    assert warm(server) == ["m2", "m3"], "what is pinned stays, though it is used least"
    assert manage(server, "evict", models=["m2"])["results"][0]["success"] is False
    manage(server, "unpin", models=["m2"])
    harness.wait_until("m1, which is used most, is back in the place of m2", lambda: warm(server) == ["m1", "m3"])
    assert manage(server, "evict", models=["m1", "m3"])["success"] is True
    harness.wait_until("no engine is left", lambda: server.engines() == [])


def test_eviction_never_cuts_an_answer(start_server, models):
    server = start_server(*models)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.stream("Hello", model="m1", temperature=0, max_tokens=1500, ignore_eos=True) as response:
            events = harness.iterate_sse(response.iter_raw())
            next(events), next(events)
            busy = manage(server, "evict", models=["m1"])["results"][0]
            assert busy["success"] is False and "busy with 1 request" in busy["message"]
            forced = pool.submit(manage, server, "evict", models=["m1"], force=True)
            rest = list(events)
        assert rest[-1]["type"] == "complete"
        assert rest[-1]["usage"]["completion_tokens"] == 1500
        assert forced.result()["results"][0]["success"] is True
    assert states(server)["m1"] == "cold"


def test_manage_says_what_is_wrong(start_server, toy):
    server = start_server("--model", toy)
    response = server.post(MANAGE, {"action": "explode"})
    assert response.status_code == 422
    assert response.json()["error"]["field"] == "action"
    assert server.post(MANAGE, {"action": "evict"}).json()["error"]["field"] == "models"
    assert server.post(MANAGE, {}).status_code == 422
    assert server.client.get(server.url + MANAGE).status_code == 405


def test_artifact_actions_answer_for_each_model(start_server, toy):
    """What the engine says comes through, whether it keeps artifacts or not; a model that is not warm fails alone."""
    server = start_server("--model", toy)
    for action in ("save", "prune"):
        (result,) = manage(server, action)["results"]
        assert result["model"] == "toy" and result["message"]
        assert result["success"] is ("saved" in result)
    (result,) = manage(server, "save", models=["nobody"])["results"]
    assert result["success"] is False and "there is no model" in result["message"]


# --- memory


def test_evictions_return_the_memory(start_server, model_file):
    path = model_file(1)
    server = start_server("--model", f"m1={path}", "--model", f"m2={model_file(2)}", MODEL_CACHE_SIZE="2",
                          CACHE_WARMUP_ON_STARTUP="false")  # fmt: skip

    def use_both():
        for name in ("m1", "m2"):
            server.chat("Hello", model=name, **SHORT)

    use_both()  # the server's own code and buffers are touched
    def evict_both():
        """What stands by takes memory as well: it is there each time something is measured."""
        manage(server, "evict", models=["m1", "m2"])
        harness.wait_until("one process stands by", lambda: len(server.standby()) == 1)

        def stays():
            before = resident_bytes(server)
            time.sleep(0.2 * harness.SLOWDOWN)
            return abs(resident_bytes(server) - before) < 0.01 * before

        harness.wait_until("it is up", stays)

    evict_both()
    base = resident_bytes(server)
    for _ in range(3):
        use_both()
        assert resident_bytes(server) > 1.5 * base
        evict_both()
        assert resident_bytes(server) < 1.05 * base


def test_a_model_larger_than_the_budget_is_refused_with_the_numbers(start_server, models):
    server = start_server(*models, MODEL_CACHE_BYTES="1MiB", CACHE_WARMUP_ON_STARTUP="false")
    response = server.post(harness.COMPLETIONS_PATH, {"model": "m1", "messages": harness.user("Hello"), **SHORT})
    assert response.status_code == 503
    message = response.json()["error"]["message"]
    assert "needs" in message and "MODEL_CACHE_BYTES allows 1 MiB" in message
    assert server.engines() == [], "nothing was started for it"
    assert states(server)["m1"] == "failed"


def test_the_byte_budget_holds(start_server, models):
    server = start_server(*models, MODEL_CACHE_SIZE="4", CACHE_WARMUP_ON_STARTUP="false", CONTEXT_TOKENS="2048")
    server.chat("Hello", model="m1", **SHORT)
    one = max(model(server, "m1")["bytes_measured"], model(server, "m1")["bytes_expected"])
    server.stop()
    budget = str(2 * one + one // 2)
    server = start_server(*models, MODEL_CACHE_SIZE="4", MODEL_CACHE_BYTES=budget, CACHE_WARMUP_ON_STARTUP="false",
                          CONTEXT_TOKENS="2048")  # fmt: skip

    def holds():
        """Of what is measured: an engine may take less than the first one did."""
        warm = [each["bytes_measured"] for each in manage(server, "status")["models"] if each["state"] == "warm"]
        return 1 <= len(warm) <= 3 and sum(warm) <= int(budget) and len(server.engines()) == len(warm)

    for name in ("m1", "m2", "m3", "m4", "m1"):
        server.chat("Hello", model=name, **SHORT)
        harness.wait_until("the budget holds", holds)


# --- keep_alive


def test_keep_alive_of_a_request(start_server, models):
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false")
    server.chat("Hello", model="m1", keep_alive=0, **SHORT)
    harness.wait_until("m1 is unloaded after use", lambda: server.engines() == [])
    server.chat("Hello", model="m1", keep_alive="300ms", **SHORT)
    assert model(server, "m1")["unload_at"] is not None
    harness.wait_until("m1 is unloaded when idle", lambda: states(server)["m1"] == "cold")
    body = {"model": "m1", "messages": harness.user("Hello"), "keep_alive": -1, **SHORT}
    assert server.post(harness.COMPLETIONS_PATH, body).status_code == 200
    assert model(server, "m1")["unload_at"] is None
    refused = server.post(harness.STREAM_PATH, {**body, "keep_alive": "soon"})
    assert refused.status_code == 422 and refused.json()["error"]["field"] == "keep_alive"


def test_keep_alive_of_the_server(start_server, models):
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false", MODEL_KEEP_ALIVE="200ms")
    server.chat("Hello", model="m1", **SHORT)
    harness.wait_until("m1 is unloaded when idle", lambda: server.engines() == [])


# --- over a restart


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_restart_warms_what_was_warm(start_server, folder, tmp_path, how):
    settings = {"SUTAZAI_HOME": str(tmp_path / "home"), "MODEL_CACHE_SIZE": "2", "MODELS_DIR": str(folder)}
    first = harness.Server(tmp_path / "first", environment={**settings, "CACHE_WARMUP_ON_STARTUP": "false"})
    try:
        first.wait_for_ready()
        for name in ("m1", "m2", "m3", "m2", "m3", "m2"):
            first.chat("Hello", model=name, **SHORT)
        assert warm(first) == ["m2", "m3"]
        first.process.send_signal(getattr(signal, how))
        first.process.wait(30)
        harness.wait_until("the engines are gone", lambda: first.engines() == [])
    finally:
        first.kill()
    second = start_server(**settings)
    assert warm(second), "ready means that one is warm"
    if how == "SIGTERM":  # what was counted since the last note dies with a killed server
        assert states(second)["m2"] == "warm", "the one used most comes first"
    harness.wait_until("both are warm again", lambda: warm(second) == ["m2", "m3"])
    assert len(second.engines()) == 2


def test_garbage_in_the_usage_file_is_no_reason_to_fail(start_server, folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "usage").write_bytes(b"sutazai-usage 1\nm1\twarm\tx\n\xff\x00garbage")
    server = start_server(SUTAZAI_HOME=str(home), MODELS_DIR=str(folder), CACHE_WARMUP_ON_STARTUP="false")
    server.chat("Hello", model="m2", **SHORT)
    assert "m2\twarm" in (home / "usage").read_text()


# --- the command line


def sutazai(server, tmp_path, *arguments):
    return harness.run_binary(*arguments, "--url", server.url, folder=tmp_path)


def test_ps_and_cache(start_server, models, tmp_path):
    # A process that stands by has a row of its own in `ps`, from when it is up (cache_text_test.cpp).
    server = start_server(*models, MODEL_CACHE_SIZE="2", CACHE_WARMUP_ON_STARTUP="false", STANDBY_ENGINES="0")
    empty = sutazai(server, tmp_path, "ps")
    assert empty.returncode == 0 and empty.stdout.splitlines() == [
        "NAME  STATE  SIZE  PID  REQUESTS  LAST USE  UNTIL"], empty.stderr  # fmt: skip
    warmed = sutazai(server, tmp_path, "cache", "warmup", "m1", "m2")
    assert (warmed.returncode, warmed.stdout) == (0, "m1: is warm\nm2: is warm\n"), warmed.stderr
    server.chat("Hello", model="m1", **SHORT)
    lines = sutazai(server, tmp_path, "ps").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["m1", "warm"], ["m2", "warm"]]
    assert str(model(server, "m1")["pid"]) in lines[1]
    pinned = sutazai(server, tmp_path, "cache", "pin", "m1")
    assert pinned.stdout == "m1: is pinned until it is unpinned\n"
    refused = sutazai(server, tmp_path, "cache", "evict", "m1", "m2")
    assert refused.returncode == 1
    assert refused.stdout == "m1: failed: 'm1' is pinned; unpin it first\nm2: was evicted\n"
    table = sutazai(server, tmp_path, "cache", "status").stdout
    assert re.search(r"^warm models +1 of \d \(room for 2\)$", table, re.M) and "warm, pinned" in table
    answer = json.loads(sutazai(server, tmp_path, "cache", "status", "--json").stdout)
    assert answer["warmed_models"] == 1
    assert json.loads(sutazai(server, tmp_path, "cache", "unpin", "m1", "--json").stdout)["success"] is True


def test_commands_need_a_server(tmp_path):
    for arguments in (["ps"], ["cache", "status"], ["cache", "save"]):
        result = harness.run_binary(*arguments, "--url", "http://127.0.0.1:9", folder=tmp_path)
        assert result.returncode == 1 and result.stdout == ""
        assert result.stderr == (
            "sutazai: no server answers at http://127.0.0.1:9 (Connection refused); start one with `sutazai serve`, or "
            "name it with --url\n")  # fmt: skip
    assert harness.run_binary("cache", "evict", folder=tmp_path).returncode == 2, "evict needs a name"


def test_commands_show_the_key(start_server, toy, tmp_path):
    server = start_server("--model", toy, API_KEYS="first,second")
    refused = sutazai(server, tmp_path, "ps")
    assert refused.returncode == 1 and refused.stderr.startswith("sutazai: "), refused.stderr
    assert sutazai(server, tmp_path, "ps", "--api-key", "second").returncode == 0
    by_setting = harness.run_binary("ps", "--url", server.url, folder=tmp_path, environment={"API_KEYS": "first"})
    assert by_setting.returncode == 0 and "toy" in by_setting.stdout
    by_port = harness.run_binary("ps", "--port", str(server.port), "--api-keys", "first", folder=tmp_path)
    assert by_port.returncode == 0


# --- popularity


def test_the_popular_model_comes_back(start_server, models):
    server = start_server(*models, MODEL_CACHE_SIZE="1", CACHE_WARMUP_ON_STARTUP="false")
    for name in ("m1", "m1", "m1", "m2"):
        server.chat("Hello", model=name, **SHORT)
    harness.wait_until("m1 is back", lambda: warm(server) == ["m1"])
    before = model(server, "m1")["found_warm"]
    server.chat("Hello", model="m1", **SHORT)
    assert model(server, "m1")["found_warm"] == before + 1


def test_two_models_over_one_place_share_it(start_server, models):
    """Everybody is served, and a swap serves many."""
    server = start_server(*models, MODEL_CACHE_SIZE="1", CACHE_WARMUP_ON_STARTUP="false")
    n_requests = 40

    def ask(i):
        return server.chat("Hello", model=f"m{1 + i % 2}", temperature=0, max_tokens=40, ignore_eos=True)

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(n_requests)))
    assert all(answer.usage["completion_tokens"] == 40 for answer in answers)
    loads = server.log().count(": loading, about")
    assert loads < n_requests / 2, f"{loads} loads in {time.monotonic() - started:.1f} s"


def test_a_warm_up_that_does_not_fit_says_what_is_in_the_way(start_server, models):
    server = start_server(*models, MODEL_CACHE_SIZE="2", CACHE_WARMUP_ON_STARTUP="false")
    done = manage(server, "warmup", models=["m1", "m2", "m3"])
    assert [result["success"] for result in done["results"]] == [True, True, False]
    assert done["success"] is False
    message = done["results"][2]["message"]
    assert "what was just warmed up (m1, m2) leaves 0 of 2 places" in message and "pinned" not in message, message
    manage(server, "pin", models=["m1"])
    message = manage(server, "warmup", models=["m2", "m3"])["results"][1]["message"]
    assert "what is pinned (m1) and what was just warmed up (m2) leaves 0 of 2 places" in message, message
    shown = harness.run_binary("cache", "warmup", "m1", "m2", "m3", "--url", server.url, folder=server.folder)
    assert shown.returncode == 1
    assert "m3: failed: 'm3' needs a place" in shown.stdout
