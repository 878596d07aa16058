"""What lies in the folder of models: split models, odd names, many files."""

import shutil

import gguf_split
import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}
COLD = {"CACHE_WARMUP_ON_STARTUP": "false"}


def names_of(server) -> list[str]:
    names = [model["id"] for model in server.client.get(server.url + "/v1/models").json()["data"]]
    return [name for name in names if name != "sutazai-demo"]  # which is always there


def listed(folder, tmp_path) -> str:
    return harness.run_binary("list", "--models-dir", str(folder), folder=tmp_path).stdout


def test_a_split_model_is_one_model(start_server, model_file, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    whole = model_file(1)
    parts = gguf_split.split(whole, folder, "big")
    gguf_split.split(whole, folder, "Loud", ".GGUF")
    size = sum(part.stat().st_size for part in parts)
    shutil.copy(whole, folder / "whole.gguf")
    server = start_server("--models-dir", str(folder), **COLD)
    assert names_of(server) == ["Loud", "big", "whole"]
    answers = {name: server.chat("Hello", model=name, **SHORT).text for name in names_of(server)}
    assert answers["big"] == answers["Loud"] == answers["whole"]

    status = server.post("/api/v1/streaming/cache/manage", {"action": "status"}).json()
    estimates = {model["name"]: model["estimate"]["weights"] for model in status["models"]}
    assert estimates["big"] == estimates["whole"], "the memory of all parts"
    assert f"{size / 1024 / 1024:.1f} MiB" in listed(folder, tmp_path)

    parts[1].unlink()
    assert "big" in names_of(server), "listed, so that somebody sees what is wrong"
    assert server.chat("Hello", model="big", **SHORT).text == answers["big"], "what is warm stays"
    server.post("/api/v1/streaming/cache/manage", {"action": "evict", "models": ["big"]})
    answer = server.post(harness.COMPLETIONS_PATH, {"model": "big", "messages": harness.user("Hello")})
    assert answer.status_code == 503
    assert "big-00002-of-00002.gguf is missing" in answer.json()["error"]["message"]
    assert "not usable: its part big-00002-of-00002.gguf is missing" in listed(folder, tmp_path)


def test_every_file_is_offered_under_a_name_that_works(start_server, model_file, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    files = ["plain.gguf", "Llama 3 (8B).gguf", "a+b@c.gguf", "caf\u00e9.gguf", "\u6a21\u578b.gguf", "LOUD.GGUF",
             "one two.gguf", "one+two.gguf"]  # fmt: skip
    for file in files:
        shutil.copy(model_file(1), folder / file)
    server = start_server("--models-dir", str(folder), **COLD)
    names = names_of(server)
    assert len(names) == len(set(names)) == len(files), "none is dropped"
    assert {"plain", "Llama-3-8B", "a-b-c", "caf", "LOUD"} <= set(names)
    assert "one-two" not in names, "two files would have it"
    for name in names:
        assert server.chat("Hello", model=name, **SHORT).text
        assert server.client.get(server.url + "/v1/models/" + name).json()["id"] == name

    shown = harness.run_binary("list", "--models-dir", str(folder), folder=tmp_path)
    listed_names = [line.split()[0] for line in shown.stdout.splitlines()]
    assert [name for name in listed_names if name != "sutazai-demo"] == names, "list and /v1/models agree"
    assert 'Llama 3 (8B).gguf is offered as "Llama-3-8B"' in shown.stderr
    assert 'another file has the name "one-two"' in shown.stderr


def test_five_thousand_files_cost_nobody_anything(start_server, model_file, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(model_file(1), folder / "m.gguf")
    for i in range(5000):
        (folder / f"m{i:04}.gguf").symlink_to(folder / "m.gguf")
    server = start_server("--models-dir", str(folder), **COLD)
    assert len(names_of(server)) == 5001

    # Scanning the folder takes some 50 ms here; half a megabyte of JSON goes over the socket in a few.
    assert harness.mean_seconds(server, "/ready") < 0.04 * harness.SLOWDOWN
    assert harness.mean_seconds(server, "/v1/models/m") < 0.02 * harness.SLOWDOWN
    assert harness.mean_seconds(server, "/v1/models") < 0.04 * harness.SLOWDOWN
    (folder / "late.gguf").symlink_to(folder / "m.gguf")
    assert "late" in names_of(server), "and what is new is found at once"
