"""Models that are made, copied and removed by name: through Ollama's client, and by the command line."""

import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import harness
import httpx
import ollama
import pytest
from ollama_store import Store

FEW = {"temperature": 0, "num_predict": 8}


@pytest.fixture
def serve(start_server, tmp_path):
    """serve(NAME=value...): a server whose store is tmp_path/home/store, beside an Ollama store in tmp_path/ollama."""

    def start(**environment: str):
        here = {"SUTAZAI_HOME": str(tmp_path / "home"), "OLLAMA_MODELS": str(tmp_path / "ollama"),
                "CACHE_WARMUP_ON_STARTUP": "false"}  # fmt: skip
        return start_server(**(here | environment))

    return start


def command(tmp_path, *arguments: str, **options):
    environment = {"OLLAMA_MODELS": str(tmp_path / "ollama"), "THREADS": "1"}
    return harness.run_binary(*arguments, folder=tmp_path, environment=environment, **options)


def done(tmp_path, *arguments: str, **options) -> str:
    result = command(tmp_path, *arguments, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def blobs(tmp_path) -> list[pathlib.Path]:
    folder = tmp_path / "home/store/blobs"
    return sorted(folder.iterdir()) if folder.exists() else []


def client_of(server) -> ollama.Client:
    return ollama.Client(host=server.url)


def names_of(client: ollama.Client) -> list[str]:
    return [model.model for model in client.list().models if model.model != "sutazai-demo"]


def test_the_python_client_makes_copies_and_removes_models(serve, model_file, tmp_path):
    client = client_of(serve())
    digest = client.create_blob(model_file())
    assert digest == "sha256:" + hashlib.sha256(model_file().read_bytes()).hexdigest()
    client.create_blob(model_file())  # again: it is there
    lines = list(client.create("me/made:x", files={"toy.gguf": digest}, system="Be brief.", license=["MIT", "Apache"],
                               parameters={"temperature": 0, "num_predict": 8, "stop": ["END"]},
                               messages=[{"role": "user", "content": "Hi"}], stream=True))  # fmt: skip
    assert [line.status for line in lines][-2:] == ["writing manifest", "success"]
    assert names_of(client) == ["me/made:x"]

    page = client.show("me/made:x")
    assert "Be brief." in page.modelfile and "num_predict 8" in page.parameters and 'stop "END"' in page.parameters
    assert page.license == "MIT\nApache"
    answer = client.chat("me/made:x", [{"role": "user", "content": "Hello"}])
    assert answer.done_reason in ("length", "stop") and answer.eval_count <= 8, "its own num_predict"

    assert client.copy("me/made:x", "second").status == "success"
    built = client.create("third", from_="second", system="Other.")
    assert built.status == "success"
    assert "Other." in client.show("third").modelfile
    assert names_of(client) == ["me/made:x", "second:latest", "third:latest"]
    for name in ["me/made:x", "second", "third"]:
        assert client.delete(name).status == "success"
    assert names_of(client) == []
    assert blobs(tmp_path) == [], "what no model names is gone"
    with pytest.raises(ollama.ResponseError) as missing:
        client.delete("third")
    assert missing.value.status_code == 404 and "not found" in missing.value.error
    for body in [{"from_": "nobody"}, {}, {"from_": "x", "quantize": "q9"}, {"from_": "x", "parameters": {"colour": 1}}]:
        with pytest.raises(ollama.ResponseError) as refused:
            client.create("x", **body)
        assert refused.value.status_code in (400, 404)


def test_a_template_that_is_given_is_used(serve, model_file, tmp_path):
    """The file has one of its own, which goes before what a model of a registry brings along."""
    client = client_of(serve())
    digest = client.create_blob(model_file())
    client.create("asked", files={"m.gguf": digest}, template="Q: {{ .Prompt }}\nA:")
    client.create("asked-too", from_="asked", system="Be brief.")
    client.create("plain", files={"m.gguf": digest})
    raw = client.generate("plain", "Q: Hello\nA:", raw=True, options=FEW).response
    assert client.chat("asked", harness.user("Hello"), options=FEW).message.content == raw
    assert client.chat("asked-too", harness.user("Hello"), options=FEW).message.content == raw
    assert client.chat("plain", harness.user("Hello"), options=FEW).message.content != raw
    assert client.show("asked").template == "Q: {{ .Prompt }}\nA:"
    with pytest.raises(ollama.ResponseError, match="template") as refused:
        client.create("wrong", files={"m.gguf": digest}, template="{{ if }}")
    assert refused.value.status_code == 400
    assert not [name for name in names_of(client) if name.startswith("wrong")]


def test_what_is_too_long_to_be_read_is_not_made(serve, model_file, tmp_path):
    server = serve()
    client = client_of(server)
    client.create("m", files={"m.gguf": client.create_blob(model_file())}, system="Be brief.")
    messages = [{"role": "user", "content": "y" * (1 << 20)}] * 5
    for field, value in {"system": "x" * (4 << 20) + "x", "messages": messages}.items():
        answer = server.post("/api/create", {"model": "m", "from": "m", field: value, "stream": False})
        assert answer.status_code == 400 and answer.json()["error"].startswith(field), answer.text
    assert client.chat("m", harness.user("Hi"), options=FEW).message.content, "the old one is as it was"


def test_stop_knows_what_was_made_just_now(serve, model_file, tmp_path):
    server = serve()
    client = client_of(server)
    client.create("m", files={"m.gguf": client.create_blob(model_file())})
    for i in range(5):
        done(tmp_path, "cp", "m", f"copy-{i}")
        assert client.generate(f"copy-{i}", keep_alive=0).done_reason == "unload"


def test_models_that_lie_elsewhere_are_built_on_but_not_removed(serve, model_file, tmp_path):
    theirs = Store(tmp_path / "ollama")
    theirs.put("theirs/latest", model_file(), system="Theirs.")
    client = client_of(serve())
    with pytest.raises(ollama.ResponseError) as refused:
        client.delete("theirs")
    assert refused.value.status_code == 400 and str(tmp_path / "ollama") in refused.value.error
    client.copy("theirs", "mine")
    weights = hashlib.sha256(model_file().read_bytes()).hexdigest()
    own = tmp_path / "home/store/blobs" / f"sha256-{weights}"
    assert own.samefile(tmp_path / "ollama/blobs" / f"sha256-{weights}"), "one file with two names"
    assert "Theirs." in client.show("mine").modelfile
    client.delete("mine")
    assert client.chat("theirs", [{"role": "user", "content": "Hello"}], options=FEW).done


def test_a_warm_model_that_is_removed_finishes_its_answer_and_goes(serve, model_file, tmp_path):
    endless = model_file(context=int(harness.ENDLESS))
    server = serve(CONTEXT_TOKENS=harness.ENDLESS)
    client = client_of(server)
    client.create("going", files={"toy.gguf": client.create_blob(endless)})
    stream = client.generate("going", "Tell me", options={"temperature": 0, "num_predict": 400}, stream=True)
    first = next(stream)
    assert not first.done
    client.delete("going")
    assert names_of(client) == []
    assert list(stream)[-1].done, "what runs goes on to its end"
    harness.wait_until("its engine ends", lambda: not client.ps().models, 20)
    with pytest.raises(ollama.ResponseError):
        client.generate("going", "Hello")


def test_create_from_a_modelfile(tmp_path, model_file, serve):
    (tmp_path / "toy.gguf").write_bytes(model_file().read_bytes())
    (tmp_path / "Modelfile").write_text(
        'FROM ./toy.gguf\n# a comment\nSYSTEM """Two\nlines."""\nPARAMETER num_predict 5\nparameter stop "A"\n'
        "PARAMETER stop B\nLICENSE MIT\nMESSAGE user Hi\n"
        'MESSAGE assistant """"\nsay """\nand """\n""""\n'
    )
    made = command(tmp_path, "create", "mine")
    assert made.returncode == 0, made.stderr
    assert "writing manifest" in made.stderr and "success" in made.stderr
    assert "mine:latest" in done(tmp_path, "list")
    assert done(tmp_path, "show", "mine", "--system") == "Two\nlines.\n"
    assert done(tmp_path, "show", "mine", "--parameters") == 'num_predict 5\nstop "A"\nstop "B"\n'
    assert done(tmp_path, "show", "mine", "--license") == "MIT\n"
    assert "quantization" in done(tmp_path, "show", "mine")
    again = done(tmp_path, "show", "mine", "--modelfile")
    assert done(tmp_path, "create", "again", "-f", "-", input=again) == ""
    assert done(tmp_path, "show", "again", "--system") == "Two\nlines.\n"
    assert done(tmp_path, "show", "again", "--license") == "MIT\n", "once"
    assert 'MESSAGE assistant """"\nsay """\nand """\n""""\n' in again and "LICENSE" in again
    assert done(tmp_path, "show", "again", "--modelfile") == again.replace("FROM mine:latest", "FROM again:latest")
    # And of the file alone.
    bare = again.replace("FROM mine:latest", "FROM ./toy.gguf")
    assert done(tmp_path, "create", "bare", "-f", "-", input=bare) == ""
    assert done(tmp_path, "show", "bare", "--modelfile") == again.replace("FROM mine:latest", "FROM bare:latest")
    assert done(tmp_path, "rm", "bare") == "deleted 'bare'\n"

    server = serve()
    client = client_of(server)
    assert names_of(client) == ["again:latest", "mine:latest"]
    assert client.chat("mine", [{"role": "user", "content": "Hello"}]).eval_count <= 5
    shown = httpx.post(server.url + "/api/show", json={"model": "mine"}).json()
    assert shown["messages"] == [{"role": "user", "content": "Hi"},
                                 {"role": "assistant", "content": 'say """\nand """'}]  # fmt: skip
    # A server that runs sees what the command line does.
    assert done(tmp_path, "cp", "mine", "x/y:z") == "copied 'mine' to 'x/y:z'\n"
    harness.wait_until("the copy is listed", lambda: "x/y:z" in names_of(client))
    assert done(tmp_path, "rm", "mine", "again") == "deleted 'mine'\ndeleted 'again'\n"
    harness.wait_until("the removed are gone", lambda: names_of(client) == ["x/y:z"])
    warm = client.generate("x/y:z", "Hello", options=FEW)
    assert warm.done and client.ps().models
    done(tmp_path, "stop", "x/y:z", "--url", server.url)
    assert not client.ps().models


def test_a_name_that_another_place_has_is_not_taken(tmp_path, model_file, serve):
    """Its model would go on answering, and the new one would never be heard."""
    (tmp_path / "home/models").mkdir(parents=True)
    (tmp_path / "home/models/mine.gguf").write_bytes(model_file().read_bytes())
    (tmp_path / "home/models.toml").write_text('[models.fast]\nfrom = "mine"\n')
    (tmp_path / "Modelfile").write_text("FROM mine\n")
    assert done(tmp_path, "create", "made") == ""
    server = serve()
    client = client_of(server)
    for name in ["mine", "mine:latest", "fast", "sutazai-demo"]:
        for asked in [lambda: client.copy("made", name), lambda: client.create(name, from_="made"),
                      lambda: client.pull(name)]:  # fmt: skip
            with pytest.raises(ollama.ResponseError) as refused:
                asked()
            assert refused.value.status_code == 400, refused.value.error
            assert f'"{name.removesuffix(":latest")}" is taken by' in refused.value.error
        for words in [["cp", "made", name], ["create", name], ["pull", name]]:
            refused = command(tmp_path, *words)
            assert refused.returncode == 1 and "is taken by" in refused.stderr, (words, refused.stderr)
    for name in ["mine", "fast"]:
        refused = command(tmp_path, "rm", name)
        assert refused.returncode == 1 and name in refused.stderr, refused.stderr
    with pytest.raises(ollama.ResponseError) as bad:
        client.push("a b")
    assert bad.value.status_code == 400 and "is no name of a model" in bad.value.error
    assert sorted(names_of(client)) == ["fast", "made:latest", "mine"]


def test_what_the_command_line_refuses(tmp_path, model_file):
    (tmp_path / "toy.gguf").write_bytes(model_file().read_bytes())

    def refused(modelfile: str, *more: str) -> str:
        (tmp_path / "Modelfile").write_text(modelfile)
        result = command(tmp_path, "create", "x", *more)
        assert result.returncode == 1, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    assert "line 2" in refused("FROM ./toy.gguf\nPARAMETER temperature 7\n")
    assert "colour" in refused("FROM ./toy.gguf\nPARAMETER colour red\n")
    assert "the adapter \"" in refused("FROM ./toy.gguf\nADAPTER ./x.gguf\n")
    assert "DRAFT" in refused("FROM ./toy.gguf\nDRAFT small\n")
    assert "nothing.gguf" in refused("FROM ./nothing.gguf\n")
    assert "no model" in refused("FROM nobody\n")
    assert "folder" in refused("FROM .\n")
    assert "Q4_K_M" in refused("FROM ./toy.gguf\n", "--quantize", "q9")
    (tmp_path / "text.gguf").write_text("no model")
    assert "cannot be used" in refused("FROM ./text.gguf\n")
    assert command(tmp_path, "create", "../x").returncode == 1
    assert "not found" in command(tmp_path, "rm", "nobody").stderr
    assert "Modelfile" in command(tmp_path, "create", "x", "-f", "missing").stderr
    assert blobs(tmp_path) == []


@pytest.mark.parametrize("quant", ["f16", "f32"])
def test_quantised_by_the_command_line_it_answers(tmp_path, model_file, serve, quant):
    path = model_file(quant=quant)
    (tmp_path / "Modelfile").write_text(f"FROM {path}\nPARAMETER num_predict 8\n")
    made = command(tmp_path, "create", "small", "--quantize", "q8_0")
    assert made.returncode == 0, made.stderr
    assert f"quantizing {quant.upper()} model to Q8_0" in made.stderr
    assert re.search(r"quantization +Q8_0", done(tmp_path, "show", "small"))
    assert max(blob.stat().st_size for blob in blobs(tmp_path)) < path.stat().st_size
    assert not [blob for blob in blobs(tmp_path) if not blob.name.startswith("sha256-")]
    client = client_of(serve())
    assert client.chat("small", [{"role": "user", "content": "Hello"}]).message.content.strip()

    (tmp_path / "Modelfile").write_text("FROM small\n")
    twice = command(tmp_path, "create", "smaller", "--quantize", "Q4_0")
    assert twice.returncode == 1 and "Q8_0" in twice.stderr, "what is lost does not come back"


def test_quantised_through_the_server(serve, model_file, tmp_path):
    client = client_of(serve())
    digest = client.create_blob(model_file(quant="f16"))
    lines = list(client.create("q", files={"m.gguf": digest}, quantize="q8_0", stream=True))
    assert lines[-1].status == "success"
    quantising = [line for line in lines if line.status.startswith("quantizing F16 model to Q8_0")]
    assert quantising and quantising[-1].completed == quantising[-1].total > 0
    assert client.chat("q", [{"role": "user", "content": "Hello"}], options=FEW).message.content.strip()
    with pytest.raises(ollama.ResponseError) as refused:
        client.create("qq", from_="q", quantize="q4_0")
    assert refused.value.status_code == 400 and "Q8_0" in refused.value.error


def workers_of(tmp_path) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        words = harness.command_line(int(entry.name)) if entry.name.isdigit() else []
        if words[1:2] == ["quantize-worker"] and any(str(tmp_path) in word for word in words):
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A model that takes a while to quantise."""
    folder = tmp_path_factory.mktemp("large")
    path = folder / "large.gguf"
    made = harness.run_binary("model", "synth", "--preset", "toy", "--quant", "f16", "--layers", "12", "--embedding", "512",
                              "--heads", "8", "--kv-heads", "8", "--feed-forward", "2048", "--output", str(path), folder=folder)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return path


def test_a_client_that_goes_away_ends_the_quantising(serve, large, tmp_path):
    server = serve()
    client = client_of(server)
    digest = client.create_blob(large)
    before = blobs(tmp_path)

    def begin():
        with pytest.raises(Exception):
            for _ in client.create("q", files={"m.gguf": digest}, quantize="q4_k_m", stream=True):
                if workers_of(tmp_path):
                    raise RuntimeError("enough")  # and the connection is closed

    begin()
    client._client.close()
    harness.wait_until("the worker ends", lambda: not workers_of(tmp_path), 10)
    harness.wait_until("nothing is left of it", lambda: blobs(tmp_path) == before, 10)
    assert names_of(client_of(server)) == []


def test_ctrl_c_and_a_worker_that_dies(large, tmp_path):
    (tmp_path / "Modelfile").write_text(f"FROM {large}\n")
    environment = harness.clean_environment(SUTAZAI_HOME=str(tmp_path / "home"), OLLAMA_MODELS="off")
    for how in [signal.SIGINT, signal.SIGKILL]:
        process = subprocess.Popen([harness.BINARY, "create", "q", "-q", "q4_k_m"], cwd=tmp_path, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        harness.wait_until("the worker runs", lambda: workers_of(tmp_path), 20)
        if how == signal.SIGINT:
            process.send_signal(how)
        else:
            for pid in workers_of(tmp_path):
                os.kill(pid, how)
        _, errors = process.communicate(timeout=20 * harness.SLOWDOWN)
        if how == signal.SIGINT:
            assert process.returncode == 130 and "interrupted" in errors
        else:
            assert process.returncode == 1 and "signal 9" in errors
        assert not workers_of(tmp_path) and blobs(tmp_path) == []


def test_two_creates_and_a_removal_at_once(serve, model_file, tmp_path):
    client = client_of(serve())
    digest = client.create_blob(model_file())
    client.create("base", files={"m.gguf": digest})
    failures = []

    def churn(name: str):
        own = client_of_url(client)
        for n in range(12):
            try:
                own.create(name, from_="base", system=f"{name} {n}")
                if n % 3 == 0:
                    own.delete(name)
            except Exception as error:  # noqa: BLE001
                failures.append(f"{name} {n}: {error}")

    def client_of_url(one):
        return ollama.Client(host=str(one._client.base_url))

    threads = [threading.Thread(target=churn, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names_of(client) == ["a:latest", "b:latest", "base:latest", "c:latest"]
    named = set()
    for manifest in (tmp_path / "home/store/manifests").rglob("*"):
        if manifest.is_file():
            content = json.loads(manifest.read_text())
            named |= {layer["digest"].replace(":", "-") for layer in [content["config"], *content["layers"]]}
    assert {blob.name for blob in blobs(tmp_path)} == named


def test_a_large_blob_takes_no_memory(serve, tmp_path):
    server = serve()
    # A sanitizer keeps up to 256 MiB of what was freed.
    size, bound = (300 << 20, 40 << 20) if harness.SLOWDOWN == 1 else (600 << 20, 400 << 20)
    piece = b"\0" * (1 << 20)

    def pieces():
        for _ in range(size >> 20):
            yield piece

    digest = hashlib.sha256()
    for part in pieces():
        digest.update(part)
    before = resident(server.pid)
    most = [before]
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            most[0] = max(most[0], resident(server.pid))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    answer = server.client.post(server.url + f"/api/blobs/sha256:{digest.hexdigest()}", content=pieces())
    stop.set()
    watcher.join()
    assert answer.status_code == 201, answer.text
    assert most[0] - before < bound, "it is not held"


def resident(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024
