"""Models by name: from an Ollama store, the Hugging Face cache and models.toml."""

import hashlib
import re
import shutil
import time

import harness
import pytest
from ollama_store import Store

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}
COLD = {"CACHE_WARMUP_ON_STARTUP": "false"}
MANAGE = "/api/v1/streaming/cache/manage"


def names_of(server) -> list[str]:
    names = [model["id"] for model in server.client.get(server.url + "/v1/models").json()["data"]]
    return [name for name in names if name != "sutazai-demo"]  # which is always there


def status_of(server) -> dict[str, dict]:
    return {model["name"]: model for model in server.post(MANAGE, {"action": "status"}).json()["models"]}


def refusal(server, model: str, **fields) -> str:
    answer = server.post(harness.COMPLETIONS_PATH, {"model": model, "messages": harness.user("Hello"), **fields})
    assert answer.status_code != 200, answer.text
    return answer.json()["error"]["message"]


def text_of(server, model: str, **fields) -> str:
    answer = server.post(harness.COMPLETIONS_PATH, {"model": model, "messages": harness.user("Hello"), **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "ollama")


@pytest.fixture
def serve(start_server, tmp_path):
    """serve(models_toml="", NAME=value...): a server over this test's store, cache and models.toml."""

    def start(toml: str = "", **environment: str):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if toml:
            (home / "models.toml").write_text(toml)
        here = {"OLLAMA_MODELS": str(tmp_path / "ollama"), "HF_HUB_CACHE": str(tmp_path / "hub"),
                "SUTAZAI_HOME": str(home), **COLD}  # fmt: skip
        return start_server(**(here | environment))

    return start


def command(tmp_path, *arguments: str, **options):
    environment = {"OLLAMA_MODELS": str(tmp_path / "ollama"), "HF_HUB_CACHE": str(tmp_path / "hub"),
                   "SUTAZAI_HOME": str(tmp_path / "home"), "THREADS": "1"}  # fmt: skip
    return harness.run_binary(*arguments, folder=tmp_path, environment=environment, **options)


def test_models_of_a_store_answer_under_their_names(serve, store, model_file, tmp_path):
    store.put("tiny/1b", model_file(1))
    store.put("tiny/latest", model_file(2))
    store.put("localhost:5000/me/tiny/x", model_file(1))
    server = serve()
    names = ["localhost:5000/me/tiny:x", "tiny:1b", "tiny:latest"]
    assert names_of(server) == names
    ready = server.client.get(server.url + "/ready").json()["models"]
    assert [model["name"] for model in ready if model["name"] != "sutazai-demo"] == names
    listed = [line.split()[0] for line in command(tmp_path, "list").stdout.splitlines()]
    assert [name for name in listed if name != "sutazai-demo"] == names, "list and /v1/models agree"

    for name in ["tiny:1b", "TINY:1B", "library/tiny:1b", "registry.ollama.ai/library/tiny:1b"]:
        answer = server.post(harness.COMPLETIONS_PATH, {"model": name, "messages": harness.user("Hello"), **SHORT})
        assert answer.json()["model"] == "tiny:1b", "the catalogue's name"
        assert server.client.get(server.url + "/v1/models/" + name).json()["id"] == "tiny:1b"
    assert text_of(server, "tiny", **SHORT) == text_of(server, "tiny:latest", **SHORT)
    warmed = server.post(MANAGE, {"action": "warmup", "models": ["tiny"]}).json()["results"][0]
    assert (warmed["model"], warmed["state"]) == ("tiny:latest", "warm")
    shown = command(tmp_path, "ps", "--url", server.url).stdout
    assert {line.split()[0] for line in shown.splitlines() if " warm " in line} == {"tiny:1b", "tiny:latest"}
    ran = command(tmp_path, "run", "Tiny", "Hello", "--max-tokens", "4", "--temperature", "0")
    assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_names_of_one_digest_share_an_engine(serve, store, model_file):
    store.put("a/latest", model_file(1), params={"temperature": 0, "num_predict": 4})
    store.put("b/latest", model_file(1), system="You are b.")
    store.put("c/latest", model_file(1))
    server = serve('[models.d]\nfrom = "a"\n[models.e]\nfrom = "a"\ncontext = 512\n')
    for name in ["a", "b", "c", "d"]:
        assert text_of(server, name, **SHORT)
    assert len(server.engines()) == 1, "four names, one engine"
    assert text_of(server, "e", **SHORT)
    assert len(server.engines()) == 2, "loaded in another way it is another one"
    status = status_of(server)
    assert status["a:latest"]["requests"] == 4 and status["a:latest"]["alias_of"] is None
    assert {status[name]["alias_of"] for name in ["b:latest", "c:latest", "d"]} == {"a:latest"}
    assert {status[name]["state"] for name in ["a:latest", "b:latest", "c:latest", "d", "e"]} == {"warm"}
    figures = server.post(MANAGE, {"action": "status"}).json()
    assert figures["warmed_models"] == 2 and figures["cache_hit_rate"] == 60.0
    server.post(MANAGE, {"action": "evict", "models": ["d"]})
    assert status_of(server)["a:latest"]["state"] == "cold", "evicting one name evicts what they share"


def test_what_cannot_be_used_is_shown_with_the_reason(serve, store, model_file, tmp_path):
    store.put("good/latest", model_file(1))
    store.put("adapted/latest", model_file(1), adapter="lora")
    store.put("safe/latest", model_file(1), config={"model_format": "safetensors"})
    store.put("missing/latest", model_file(2))
    (store.root / "blobs" / f"sha256-{hashlib.sha256(model_file(2).read_bytes()).hexdigest()}").unlink()
    store.put_text("registry.ollama.ai/library/broken/latest", "{")
    evil = '{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:../../../../etc/passwd"}]}'
    store.put_text("registry.ollama.ai/library/evil/latest", evil)
    server = serve()
    assert names_of(server) == [f"{name}:latest" for name in ["adapted", "broken", "evil", "good", "missing", "safe"]]
    assert "the adapter adapter cannot be read" in refusal(server, "adapted")
    assert "safetensors" in refusal(server, "safe")
    assert "is missing" in refusal(server, "missing")
    assert "no JSON object" in refusal(server, "broken")
    assert "64 hex digits" in refusal(server, "evil")
    assert text_of(server, "good", **SHORT)
    listed = command(tmp_path, "list").stdout
    assert "not usable: its manifest is no JSON object" in listed
    assert status_of(server)["broken:latest"]["file_note"] == "its manifest is no JSON object"


def test_changes_of_a_store_are_seen(serve, store, model_file):
    store.put("first/latest", model_file(1))
    server = serve()
    assert names_of(server) == ["first:latest"]
    before = text_of(server, "first", **SHORT)
    manifest = store.put("second/latest", model_file(2))
    after = text_of(server, "second", **SHORT)
    assert after != before, "at once"
    manifest.unlink()
    assert names_of(server) == ["first:latest"]
    store.put("first/latest", model_file(2))  # as a new pull of the tag
    harness.wait_until("the tag's new weights answer", lambda: text_of(server, "first", **SHORT) == after)
    harness.wait_until("the old engine goes", lambda: len(server.engines()) == 1)


def test_defaults_of_a_model_and_who_goes_first(serve, store, model_file):
    """The request, models.toml, the store's parameters, the server."""
    store.put("m/latest", model_file(1), params={"num_predict": 3, "temperature": 0, "stop": ["\x00never"]})
    server = serve('[models.m]\nmax_tokens = 5\n[models.plain]\nfrom = "m:latest"\nmax_tokens = -1\n')

    def tokens(model: str, **fields) -> int:
        body = {"model": model, "messages": harness.user("Hello"), "ignore_eos": True, **fields}
        return server.post(harness.COMPLETIONS_PATH, body).json()["usage"]["completion_tokens"]

    assert tokens("m") == 5, "models.toml before the store"
    assert tokens("m", max_tokens=2) == 2, "the request before models.toml"
    assert tokens("plain", max_tokens=7) == 7
    again = [text_of(server, "m", ignore_eos=True) for _ in range(3)]
    assert len(set(again)) == 1, "temperature 0 is the store's"
    completion = server.post("/v1/completions", {"model": "m", "prompt": "Hello", "ignore_eos": True}).json()
    assert completion["usage"]["completion_tokens"] == 5, "also where the API has a default of its own"
    batch = {"model": "m", "requests": [{"prompt": "Hello"}, {"prompt": "Hello", "max_tokens": 1}], "ignore_eos": True}
    results = server.post("/api/v1/streaming/batch/process", batch).json()["results"]
    assert [result["usage"]["completion_tokens"] for result in results] == [5, 1]


def test_a_system_prompt_of_the_model(serve, store, model_file):
    store.put("m/latest", model_file(1))
    words = "You are a very long system prompt. " * 10
    server = serve(f'[models.told]\nfrom = "m"\nsystem = "{words}"\n')

    def prompt_tokens(model: str, messages) -> int:
        body = {"model": model, "messages": messages, "max_tokens": 1}
        return server.post(harness.COMPLETIONS_PATH, body).json()["usage"]["prompt_tokens"]

    asked = harness.user("Hello")
    assert prompt_tokens("told", asked) == prompt_tokens("m", [{"role": "system", "content": words}, *asked])
    own = [{"role": "system", "content": "Short."}, *asked]
    assert prompt_tokens("told", own) == prompt_tokens("m", own), "the chat's own goes first"


def test_a_template_of_the_model(serve, store, model_file, tmp_path):
    store.put("m/latest", model_file(1))
    (tmp_path / "home").mkdir()
    template = tmp_path / "home/mine.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    server = serve('[models.mine]\nfrom = "m"\ntemplate = "./mine.jinja"\n'
                   '[models.named]\nfrom = "m"\ntemplate = "chatml"\n[models.odd]\nfrom = "m"\ntemplate = "odd"\n')  # fmt: skip

    def prompt_tokens(model: str) -> int:
        body = {"model": model, "messages": harness.user("Hello"), "max_tokens": 1}
        answer = server.post(harness.COMPLETIONS_PATH, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["usage"]["prompt_tokens"]

    plain = server.post("/v1/completions", {"model": "m", "prompt": "Hello", "max_tokens": 1}).json()
    assert prompt_tokens("mine") == plain["usage"]["prompt_tokens"], "nothing but the text"
    assert prompt_tokens("named") > prompt_tokens("mine")
    assert "llama.cpp has no chat template odd" in refusal(server, "odd")
    template.write_text("{% for m in messages %}{{ m.content }} {{ m.content }}{% endfor %}")
    harness.wait_until("the template is another one", lambda: prompt_tokens("mine") > plain["usage"]["prompt_tokens"])


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_a_kv_type_of_the_model(serve, store, model_file, kind):
    store.put("m/latest", model_file(1))
    server = serve(f'[models.kv]\nfrom = "m"\nkv_type = "{kind}"\ncontext = 2048\n')
    assert text_of(server, "kv", **SHORT)
    assert text_of(server, "m", **SHORT)
    status = status_of(server)
    per_cell = {name: status[name]["estimate"]["kv"] for name in ["kv", "m:latest"]}
    if kind == "f32":
        assert per_cell["kv"] * 8 == per_cell["m:latest"] * 2, "an eighth of the cells, each twice as large"
    else:
        assert per_cell["kv"] * 8 < per_cell["m:latest"]


def test_a_configuration_that_changes(serve, store, model_file, tmp_path):
    store.put("m/latest", model_file(1))
    server = serve('[models.a]\nfrom = "m"\n')
    config = tmp_path / "home/models.toml"
    assert names_of(server) == ["a", "m:latest"]
    config.write_text('[models.b]\nfrom = "m"\npinned = true\n')
    assert names_of(server) == ["b", "m:latest"], "at once"
    assert text_of(server, "b", **SHORT)
    assert status_of(server)["b"]["pinned"]
    refused = server.post(MANAGE, {"action": "unpin", "models": ["b"]}).json()["results"][0]
    assert not refused["success"] and "is pinned in models.toml" in refused["message"]
    evicted = server.post(MANAGE, {"action": "evict", "models": ["b"]}).json()["results"][0]
    assert "is pinned in models.toml" in evicted["message"]

    config.write_text('[models.b]\nfrom = "m"\ntemperature = 7\n')
    assert names_of(server) == ["b", "m:latest"], "the last good one goes on"
    problem = 'models.toml:3: models."b".temperature = 7 is not allowed; it must be a number, 0 to 2'
    assert server.post(MANAGE, {"action": "status"}).json()["config_problem"] == problem
    assert problem in server.client.get(server.url + "/api/v1/streaming/health/advanced").json()["config_problem"]
    harness.wait_until("the log says so", lambda: problem in server.log())
    config.write_text('[models.b]\nfrom = "m"\ncontext = 300\n')
    harness.wait_until("it is read again",
                       lambda: server.post(MANAGE, {"action": "status"}).json()["config_problem"] is None)  # fmt: skip
    before = server.engines()
    assert text_of(server, "b", **SHORT)
    assert server.engines() != before, "loaded with another context"


def test_a_configuration_that_is_wrong_from_the_start(serve, tmp_path, model_file):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/models.toml").write_text("[models.a]\ndraft = []\n")
    for arguments in [("serve", "--port", "0"), ("list",), ("run", "sutazai-demo", "Hello")]:
        ended = command(tmp_path, *arguments)
        assert ended.returncode == 1
        assert re.search(r'home/models.toml:2: models."a".draft is not built yet', ended.stderr), ended.stderr


def test_pinned_models_are_warm_from_the_start(serve, store, model_file):
    store.put("m/latest", model_file(1))
    server = serve('[models.m]\npinned = true\nkeep_alive = "1h"\n', CACHE_WARMUP_ON_STARTUP="true")
    harness.wait_until("the pinned model is warm", lambda: status_of(server)["m:latest"]["state"] == "warm")


def test_keep_alive_of_the_model(serve, store, model_file):
    store.put("m/latest", model_file(1))
    server = serve('[models.m]\nkeep_alive = "0s"\n')
    assert text_of(server, "m", **SHORT)
    harness.wait_until("it is unloaded", lambda: server.engines() == [])
    assert text_of(server, "m", keep_alive="1h", **SHORT)
    time.sleep(0.5)
    assert len(server.engines()) == 1, "the request goes first"


def test_the_hugging_face_cache(serve, store, model_file, tmp_path):
    repository = tmp_path / "hub/models--org--toy-GGUF"
    snapshot = repository / "snapshots/0123abcd"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0123abcd")
    for name, seed in [("toy-Q4_K_M.gguf", 1), ("toy-F32.gguf", 2)]:
        digest = hashlib.sha256(model_file(seed).read_bytes()).hexdigest()
        shutil.copy(model_file(seed), repository / "blobs" / digest)
        (snapshot / name).symlink_to(f"../../blobs/{digest}")
    store.put("same/latest", model_file(1))
    server = serve()
    assert names_of(server) == ["hf.co/org/toy-GGUF:F32", "hf.co/org/toy-GGUF:Q4_K_M", "same:latest"]
    answer = text_of(server, "hf.co/org/toy-GGUF", **SHORT)
    assert answer == text_of(server, "hf.co/org/toy-gguf:q4_k_m", **SHORT) == text_of(server, "same", **SHORT)
    assert len(server.engines()) == 1, "one digest in two stores is one engine"
    (snapshot / "toy-Q4_K_M.gguf").unlink()
    assert "hf.co/org/toy-GGUF:Q4_K_M" not in names_of(server)
    assert text_of(server, "same", **SHORT) == answer


def test_five_thousand_models_hold_up_no_start(serve, store, model_file, tmp_path):
    def seconds_to_ready(**environment) -> float:
        begin = time.monotonic()
        server = serve(CACHE_WARMUP_ON_STARTUP="true", **environment)
        took = time.monotonic() - begin
        server.stop()
        return took

    few = min(seconds_to_ready() for _ in range(5))
    store.put("m0/latest", model_file(1))
    text = (store.root / "manifests/registry.ollama.ai/library/m0/latest").read_text()
    for i in range(1, 5000):
        store.put_text(f"registry.ollama.ai/library/m{i}/latest", text)
    many = min(seconds_to_ready() for _ in range(5))
    print(f"to ready: {few * 1000:.0f} ms without, {many * 1000:.0f} ms with 5000 manifests")
    assert many < few + 0.2 * harness.SLOWDOWN
    server = serve()
    assert text_of(server, "m4999", **SHORT)
    assert len(names_of(server)) == 5000

    assert harness.mean_seconds(server, "/v1/models/m77") < 0.02 * harness.SLOWDOWN


def test_a_copy_is_never_less_than_its_source(serve, store, model_file, tmp_path):
    store.put("tiny/1b", model_file(1))
    server = serve(f'[models.brief]\nfrom = "tiny:1b"\nsystem = "Be brief."\ntop_k = 3\n[models.plain]\nfrom = "{model_file(2)}"\n')
    refused = server.post("/api/copy", {"source": "brief", "destination": "second"})
    assert refused.status_code == 400, refused.text
    assert "system, top_k" in refused.json()["error"] and "brief" in refused.json()["error"]
    assert server.post("/api/copy", {"source": "plain", "destination": "second"}).status_code == 200
    assert server.post("/api/copy", {"source": "tiny:1b", "destination": "third"}).status_code == 200
    assert text_of(server, "third", **SHORT) == text_of(server, "tiny:1b", **SHORT)
    copied = command(tmp_path, "cp", "brief", "fourth")
    assert copied.returncode == 1 and "system, top_k" in copied.stderr, copied.stderr
