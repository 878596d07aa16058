"""Cache artifacts as a user sees them: known prompts skip their prefill after a restart, on another server, elsewhere."""

import os
import re
import resource
import signal

import harness

#: About 700 tokens of the toy's.
DOCUMENT = " ".join(f"Line {i} tells of the sea and of an old sailor." for i in range(60))
MANAGE = "/api/v1/streaming/cache/manage"


def ask(server, question: str = "What now?") -> dict:
    answer = server.chat([{"role": "system", "content": DOCUMENT}, {"role": "user", "content": question}],
                         max_tokens=4, temperature=0, ignore_eos=True)  # fmt: skip
    return answer.usage


def cached(usage: dict) -> int:
    return usage["prompt_tokens_details"]["cached_tokens"]


def artifacts_of(folder) -> list:
    return [path for path in folder.rglob("*.kv") if "quarantine" not in path.parts]


def start(folder, toy, **settings) -> harness.Server:
    return harness.Server(folder, "--model", toy, environment=settings).wait_for_ready()


def until_artifacts_open(server) -> None:
    """The weights have been hashed and the folder is open: a load says what it found."""
    done = server.post(MANAGE, {"action": "load"}).json()
    assert done["results"][0]["success"], done


def test_a_known_prompt_survives_a_restart(tmp_path, toy):
    server = start(tmp_path, toy)
    first = ask(server)
    assert cached(first) < 64 and first["prompt_tokens"] > 600
    server.stop()
    assert artifacts_of(tmp_path)
    assert re.search(r"engine:toy.*writing [0-9.]+ [KM]iB of artifacts", server.log()), "what the end waits for"

    server = start(tmp_path, toy)
    until_artifacts_open(server)
    again = ask(server, "Something else: what of the ship?")
    assert cached(again) > 500
    server.stop()


def test_what_is_used_again_is_written_at_once_and_outlives_kill_9(tmp_path, toy):
    server = start(tmp_path, toy)
    until_artifacts_open(server)
    for question in ("One?", "Two?", "Three?"):
        ask(server, question)
    harness.wait_until("artifacts are written", lambda: len(artifacts_of(tmp_path)) >= 2)
    os.kill(server.pid, signal.SIGKILL)
    server.kill()

    server = start(tmp_path, toy)
    until_artifacts_open(server)
    assert cached(ask(server, "Four?")) > 500
    server.stop()


def test_two_servers_share_a_folder(tmp_path, toy):
    shared = str(tmp_path / "shared")
    one = start(tmp_path / "one", toy, CACHE_ARTIFACTS_DIR=shared)
    two = start(tmp_path / "two", toy, CACHE_ARTIFACTS_DIR=shared)
    ask(one)
    saved = one.post(MANAGE, {"action": "save"}).json()
    assert saved["results"][0]["success"], saved
    until_artifacts_open(two)
    assert cached(ask(two, "And you?")) > 500
    one.stop()
    assert cached(ask(two, "And now?")) > 500
    two.stop()


def test_artifacts_travel_and_another_model_refuses_them(tmp_path, toy, model_file):
    server = start(tmp_path / "here", toy)
    ask(server)
    server.stop()
    parcel = tmp_path / "parcel"
    done = harness.run_binary("cache", "export", str(parcel), "--model", toy, folder=tmp_path / "here")
    assert done.returncode == 0, done.stderr

    (tmp_path / "there").mkdir()
    done = harness.run_binary("cache", "import", str(parcel), "--model", toy, folder=tmp_path / "there")
    assert done.returncode == 0, done.stderr
    server = start(tmp_path / "there", toy)
    until_artifacts_open(server)
    assert cached(ask(server, "Welcome?")) > 500
    server.stop()

    (tmp_path / "elsewhere").mkdir()
    other = f"toy={model_file(seed=2)}"
    done = harness.run_binary("cache", "import", str(parcel), "--model", other, folder=tmp_path / "elsewhere")
    assert done.returncode != 0
    assert "weights" in done.stderr

    damaged = bytearray(parcel.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    parcel.write_bytes(damaged)
    (tmp_path / "late").mkdir()
    done = harness.run_binary("cache", "import", str(parcel), "--model", toy, folder=tmp_path / "late")
    assert done.returncode != 0
    assert not artifacts_of(tmp_path / "late")


def test_switched_off_nothing_is_written(tmp_path, toy):
    server = start(tmp_path, toy, CACHE_ARTIFACT_BYTES="0")
    ask(server)
    refused = server.post(MANAGE, {"action": "save"}).json()
    assert not refused["results"][0]["success"]
    assert "CACHE_ARTIFACT_BYTES" in str(refused["results"][0])
    server.stop()
    assert not artifacts_of(tmp_path)


def test_keys_do_not_share_artifacts(tmp_path, toy):
    def ask_as(server, key: str) -> dict:
        body = {"messages": [{"role": "system", "content": DOCUMENT}, *harness.user("Hello?")],
                "max_tokens": 2, "temperature": 0, "stream": False}  # fmt: skip
        return server.post(harness.STREAM_PATH, body, headers={"Authorization": f"Bearer {key}"}).json()["usage"]

    keys = {"API_KEYS": "alice-key-1,bob-key-22", "ADMIN_API_KEYS": "carol-key-3"}
    server = start(tmp_path, toy, **keys)
    ask_as(server, "alice-key-1")
    server.stop()
    server = start(tmp_path, toy, **keys)
    done = server.post(MANAGE, {"action": "load"}, headers={"Authorization": "Bearer carol-key-3"}).json()
    assert done["results"][0]["success"], done
    assert cached(ask_as(server, "bob-key-22")) < 64
    assert cached(ask_as(server, "alice-key-1")) > 500
    server.stop()


def test_a_save_that_fails_says_so_and_why(tmp_path, toy):
    """A full disk, played by a limit on what the engine may write to a file."""
    server = start(tmp_path, toy)
    until_artifacts_open(server)
    ask(server)
    engine = server.only_engine()
    resource.prlimit(engine, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    done = server.post(MANAGE, {"action": "save"}).json()
    assert done["success"] is False
    (result,) = done["results"]
    assert result["success"] is False and result["saved"] == 0
    assert "artifacts were not written: " in result["message"] and "File too large" in result["message"], result
    shown = harness.run_binary("cache", "save", "--url", server.url, folder=tmp_path)
    assert shown.returncode == 1
    assert shown.stdout.startswith("toy: failed: "), shown
    assert server.only_engine() == engine, "the engine outlives it"

    resource.prlimit(engine, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    harness.wait_until("the disk is tried again", lambda: server.post(MANAGE, {"action": "save"}).json()["success"], 20)
    assert artifacts_of(tmp_path)
    server.stop()
