"""Engine processes that stand by: taken by cold models, replaced, killed, and gone with their server."""

import os
import pathlib
import signal
import subprocess
import threading

import harness
import pytest

MANAGE = "/api/v1/streaming/cache/manage"
SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


@pytest.fixture(scope="module")
def models(model_file):
    return [text for i in range(1, 4) for text in ("--model", f"m{i}={model_file(i)}")]


def status(server):
    response = server.post(MANAGE, {"action": "status"})
    assert response.status_code == 200, response.text
    return response.json()


def pid_of(server, name):
    return next(entry["pid"] for entry in status(server)["models"] if entry["name"] == name)


def one_standing_by(server, but=None):
    def found():
        pids = server.standby()
        return pids[0] if len(pids) == 1 and pids[0] != but else None

    return harness.wait_until("one process stands by", found)


def test_a_cold_model_takes_it_and_it_is_replaced(start_server, models):
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false")
    first = one_standing_by(server)
    (shown,) = status(server)["standby_engines"]
    assert shown["pid"] == first and 1 << 20 < shown["bytes"] < 64 << 20
    server.chat("Hello", model="m1", **SHORT)
    assert pid_of(server, "m1") == first
    assert pathlib.Path(f"/proc/{first}/comm").read_text() == "engine:m1\n"
    second = one_standing_by(server, but=first)
    server.chat("Hello", model="m2", **SHORT)
    assert pid_of(server, "m2") == second
    one_standing_by(server, but=second)
    assert len(server.engines()) == 2


def test_the_list_of_processes_names_each_engine(start_server, model_file):
    def shown(pid):
        return harness.command_line(pid), pathlib.Path(f"/proc/{pid}/comm").read_text().rstrip("\n")

    def words(*more):
        return [harness.BINARY, "engine", "--fd", "3", *more]

    longest = "n" * 200
    models = [text for seed, name in enumerate(("m1", longest, "m3"), 1)
              for text in ("--model", f"{name}={model_file(seed)}")]  # fmt: skip
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false")
    first = one_standing_by(server)
    harness.wait_until("it stands by under its title", lambda: "." * 200 not in harness.command_line(first))
    line, name = shown(first)
    assert [word for word in line if word] == words("--standby") and name == "standby"
    for model in ("m1", longest):
        pid = one_standing_by(server)
        server.chat("Hello", model=model, **SHORT)
        assert pid_of(server, model) == pid
        line, name = shown(pid)
        assert [word for word in line if word] == words("--name", model)
        assert name == f"engine:{model}"[:15]
        ps = subprocess.run(["ps", "-o", "args=", "-ww", "-p", str(pid)], capture_output=True, text=True).stdout
        assert ps.strip() == " ".join(words("--name", model))
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"LOG_LEVEL=info" in environment or any(entry.startswith(b"PATH=") for entry in environment)
    os.kill(one_standing_by(server), signal.SIGKILL)
    server.chat("Hello", model="m3", **SHORT)
    line, _ = shown(pid_of(server, "m3"))
    assert [word for word in line if word] == words("--name", "m3"), "the same, whether it stood by or not"


def test_a_warm_start_ends_with_one_standing_by(start_server, models):
    server = start_server(*models)
    harness.wait_until("all are warm", lambda: len(server.engines()) == 3)
    one_standing_by(server)
    assert len(server.engines()) == 3


@pytest.mark.parametrize("wait", [False, True])
def test_kill_9_leaves_the_next_cold_load_working(start_server, models, wait):
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false")
    for name in ("m1", "m2", "m3"):
        pid = one_standing_by(server)
        os.kill(pid, signal.SIGKILL)
        if wait:
            harness.wait_until("the server knows", lambda gone=pid: not os.path.exists(f"/proc/{gone}"))
        server.chat("Hello", model=name, **SHORT)
        assert pid_of(server, name) != pid
    assert "m1" in server.log()


def test_a_stopped_one_that_dies_during_the_load_is_replaced(start_server, models):
    server = start_server(*models, CACHE_WARMUP_ON_STARTUP="false")
    pid = one_standing_by(server)
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    server.chat("Hello", model="m1", **SHORT)
    killer.join()
    assert pid_of(server, "m1") != pid


def test_none_is_kept_when_none_is_wanted(start_server, models):
    server = start_server(*models, STANDBY_ENGINES="0", CACHE_WARMUP_ON_STARTUP="false")
    server.chat("Hello", model="m1", **SHORT)
    server.chat("Hello", model="m2", **SHORT)
    assert status(server)["standby_engines"] == []
    assert server.standby() == [] and len(server.engines()) == 2


def test_it_does_not_outlive_a_killed_server(models, tmp_path):
    server = harness.Server(tmp_path / "killed", *models)
    try:
        pid = one_standing_by(server.wait_for_ready())
        os.kill(server.pid, signal.SIGKILL)
        harness.wait_until("it has ended", lambda: not harness.is_running(pid))
    finally:
        server.kill()


def test_pins_survive_a_restart(start_server, models, tmp_path):
    home = {"SUTAZAI_HOME": str(tmp_path / "home"), "CACHE_WARMUP_ON_STARTUP": "false"}
    server = start_server(*models, **home)
    server.chat("Hello", model="m1", **SHORT)
    assert server.post(MANAGE, {"action": "pin", "models": ["m1"]}).json()["success"] is True
    server.stop()
    server = start_server(*models, **home)
    pinned = {entry["name"]: entry["pinned"] for entry in status(server)["models"]}
    assert [name for name, yes in pinned.items() if yes] == ["m1"]
    server.chat("Hello", model="m1", **SHORT)
    assert server.post(MANAGE, {"action": "evict", "models": ["m1"]}).json()["results"][0]["success"] is False
    assert server.post(MANAGE, {"action": "unpin", "models": ["m1"]}).json()["success"] is True
    server.stop()
    server = start_server(*models, **home)
    assert not any(entry["pinned"] for entry in status(server)["models"])
