"""Adapters (LoRA): of a store, of models.toml and of requests, on one engine and one copy of the weights."""

import concurrent.futures
import hashlib

import harness
import pytest
from lora import write_lora

MESSAGES = [{"role": "user", "content": "Tell me of the sea, the ships and the old sailor who came home. " * 8}]
GREEDY = {"max_tokens": 16, "temperature": 0, "ignore_eos": True}


@pytest.fixture
def home(tmp_path, model_file):
    """A home with a model "base" and three adapters for it, on which "a", "b" and "both" are names."""
    folder = tmp_path / "home"
    folder.mkdir()
    for number, name in enumerate(["one", "two", "three"]):
        write_lora(model_file(), folder / f"{name}.gguf", seed=number, half=name == "two")
    (folder / "models.toml").write_text(f"""
[models.base]
from = "{model_file()}"
adapters = [{{path = "one.gguf", scale = 0}}, {{path = "two.gguf", scale = 0}}, {{path = "three.gguf", scale = 0}}]
[models.a]
from = "base"
adapters = ["one.gguf"]
[models.b]
from = "base"
adapters = ["two.gguf", {{path = "one.gguf", name = "more", scale = 0}}]
[models.both]
from = "base"
adapters = ["one.gguf", {{path = "three.gguf", scale = -0.5}}]
""")
    return folder


@pytest.fixture
def serve(home, start_server):
    return lambda **settings: start_server(
        SUTAZAI_HOME=str(home), OLLAMA_MODELS=str(home / "none"), HF_HUB_CACHE=str(home / "hub"),
        CACHE_WARMUP_ON_STARTUP="false", **settings)  # fmt: skip


def ask(server, model: str, messages=MESSAGES, **fields) -> harness.Answer:
    return server.chat(messages, model=model, **GREEDY | fields)


def text(server, model: str, **fields) -> str:
    return ask(server, model, **fields).text


def cached(answer) -> int:
    return answer.usage["prompt_tokens_details"]["cached_tokens"]


def test_one_engine_serves_a_model_and_all_its_adapters(serve):
    server = serve()
    names = ["base", "a", "b", "both"]
    alone = {name: text(server, name) for name in names}
    assert len(set(alone.values())) == 4, alone
    assert len(server.engines()) == 1
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda name: (name, text(server, name)), names * 4))
    for name, answer in together:
        assert answer == alone[name], name
    assert text(server, "base") == alone["base"]
    assert len(server.engines()) == 1


def test_a_request_names_its_adapters(serve):
    server = serve()
    alone = {name: text(server, name) for name in ["base", "a", "both"]}
    assert text(server, "base", adapters=[{"name": "one"}]) == alone["a"]
    assert text(server, "base", adapters=[{"name": "three", "scale": -0.5}, {"name": "one", "scale": 1}]) == alone["both"]
    assert text(server, "a", adapters=[]) == alone["base"]
    assert text(server, "b", adapters=[{"name": "more"}]) == alone["a"]
    assert text(server, "base", adapters=[{"name": "one", "scale": 0}]) == alone["base"]
    ollama = server.post("/api/chat", {"model": "base", "messages": MESSAGES, "stream": False,
                                       "adapters": [{"name": "one"}],
                                       "options": {"temperature": 0, "num_predict": 16}})  # fmt: skip
    assert ollama.status_code == 200 and ollama.json()["message"]["content"][:8] == alone["a"][:8]

    def refusal(model: str, adapters) -> str:
        answer = server.post("/v1/chat/completions", {"model": model, "messages": MESSAGES, "adapters": adapters})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"].startswith("adapters")
        return answer.json()["error"]["message"]

    assert "there are one, two, three" in refusal("base", [{"name": "four"}])
    assert "there are two, more" in refusal("b", [{"name": "one"}])
    assert "-10 and 10" in refusal("base", [{"name": "one", "scale": 11}])
    assert "path" in refusal("base", [{"name": "one", "path": "/etc/passwd"}])
    assert 'names "one" twice' in refusal("base", [{"name": "one"}, {"name": "one", "scale": 0.5}])
    assert refusal("base", "one")


def test_nothing_computed_with_one_adapter_is_used_with_another(serve):
    server = serve()
    assert cached(ask(server, "a")) == 0
    assert cached(ask(server, "a")) > 100
    assert cached(ask(server, "base")) == 0
    assert cached(ask(server, "base", adapters=[{"name": "one"}])) > 100, "the same adapter by another name"
    assert cached(ask(server, "base", adapters=[{"name": "one", "scale": 0.5}])) == 0
    assert cached(ask(server, "both")) == 0


def test_artifacts_do_not_cross_a_restart(home, serve, model_file):
    long = [{"role": "user", "content": " ".join(f"Line {i} tells of the sea and an old sailor." for i in range(60))}]
    server = serve()
    first = {name: ask(server, name, long) for name in ["base", "a"]}
    server.stop()
    server = serve()
    server.post("/api/v1/streaming/cache/manage", {"action": "load", "models": ["base"]})
    again = {name: ask(server, name, long) for name in ["b", "a", "base"]}
    assert cached(again["b"]) == 0
    assert cached(again["a"]) > 250 and cached(again["base"]) > 250
    assert all(again[name].text == first[name].text for name in first)
    # The file is another one now: so is what it computes.
    write_lora(model_file(), home / "one.gguf", seed=77)
    assert cached(other := ask(server, "a", long)) == 0
    assert other.text != first["a"].text


def test_a_broken_adapter_costs_nothing_but_its_requests(home, serve, model_file):
    server = serve()
    expected = text(server, "base")
    good = (home / "one.gguf").read_bytes()

    def refusal() -> str:
        answer = server.post("/v1/chat/completions", {"model": "a", "messages": MESSAGES})
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"]["param"] is None, "who asked sent none"
        return answer.json()["error"]["message"]

    (home / "one.gguf").write_bytes(good[: len(good) // 2])
    assert "the adapter one cannot be read" in refusal()
    (home / "one.gguf").write_bytes(b"no GGUF at all")
    assert "the adapter one cannot be read" in refusal()
    write_lora(model_file(), home / "one.gguf", seed=1, architecture="qwen2")
    assert "is for models of qwen2, and this is one of llama" in refusal()
    (home / "one.gguf").unlink()
    assert "is not there" in refusal()
    assert text(server, "base") == expected
    (home / "one.gguf").write_bytes(good)
    assert text(server, "a") != expected
    assert len(server.engines()) == 1


def test_what_is_not_built_with_adapters_is_refused(serve):
    server = serve()
    scores = server.post("/v1/completions", {"model": "a", "prompt": "The sea", "echo": True, "logprobs": 1,
                                             "max_tokens": 0})  # fmt: skip
    assert scores.status_code == 400 and '"adapters": []' in scores.json()["error"]["message"]
    vectors = server.post("/v1/embeddings", {"model": "a", "input": "The sea"})
    assert vectors.status_code == 400 and "embeddings with adapters" in vectors.json()["error"]["message"]
    assert server.post("/v1/embeddings", {"model": "base", "input": "The sea"}).status_code == 200


def test_models_are_created_with_adapters(home, serve, model_file, tmp_path):
    def create(modelfile: str):
        (tmp_path / "Modelfile").write_text(modelfile)
        return harness.run_binary("create", "made", "-f", str(tmp_path / "Modelfile"), folder=tmp_path)

    made = create(f"FROM {model_file()}\nADAPTER ./home/one.gguf\n")
    assert made.returncode == 0, made.stderr
    server = serve()
    expected = text(server, "a")
    assert text(server, "made") == expected
    assert text(server, "made", adapters=[]) == text(server, "base")
    assert "is no LoRA adapter" in create(f"FROM {model_file()}\nADAPTER {model_file()}\n").stderr
    assert "convert_lora_to_gguf.py" in create(f"FROM {model_file()}\nADAPTER ./home\n").stderr

    data = (home / "two.gguf").read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    missing = server.post("/api/create", {"model": "sent", "from": "made", "adapters": {"two.gguf": digest},
                                          "stream": False})  # fmt: skip
    assert "send it to /api/blobs" in missing.text
    assert server.client.post(f"{server.url}/api/blobs/{digest}", content=data).status_code == 201
    sent = server.post("/api/create", {"model": "sent", "from": "made", "adapters": {"two.gguf": digest},
                                       "stream": False})  # fmt: skip
    assert sent.status_code == 200, sent.text
    harness.wait_until("it is there", lambda: "sent" in server.client.get(server.url + "/api/tags").text)
    assert text(server, "sent") == text(server, "b")


def test_a_sliding_window_beside_adapters(start_server, tmp_path):
    """Its memory cuts a batch apart in an order of its own; each row's adapters go with it."""
    model = tmp_path / "gemma.gguf"
    made = harness.run_binary("model", "synth", "--preset", "toy-gemma3", "--quant", "f32", "--output", str(model), folder=tmp_path)
    assert made.returncode == 0, made.stderr
    for number, name in enumerate(["one", "two"]):
        write_lora(model, tmp_path / f"{name}.gguf", seed=number)
    (tmp_path / "models.toml").write_text(f"""
[models.base]
from = "{model}"
[models.a]
from = "base"
adapters = ["one.gguf"]
[models.b]
from = "base"
adapters = ["two.gguf"]
""")
    # So that all that is asked together is computed together.
    server = start_server(SUTAZAI_HOME=str(tmp_path), CACHE_WARMUP_ON_STARTUP="false", PREFIX_SHARING="false")
    # Longer than its window, of different lengths, so that prefills and single tokens share steps.
    words = "the sea and the ships and the old sailor "
    prompts = {i: [{"role": "user", "content": f"{i}. " + words * (3 + 17 * i)}] for i in range(4)}
    # Of this model's fourteenth token in one case two are as likely but for the rounding of a step's shape.
    short = {"max_tokens": 12}
    asked = [(name, i) for i in prompts for name in ("base", "a", "b")]
    alone = {(name, i): ask(server, name, prompts[i], **short).text for name, i in asked}
    assert len({alone[name, 3] for name in ("base", "a", "b")}) == 3, "the adapters say something"
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        for _ in range(2):
            together = pool.map(lambda which: ask(server, which[0], prompts[which[1]], **short).text, asked)
            assert dict(zip(asked, together, strict=True)) == alone
    assert len(server.engines()) == 1
