"""Models of an Ollama store whose files llama.cpp does not load, or not as they are meant."""

import pathlib

import harness
import pytest
from gguf_aged import Gguf, age_gemma3, age_llama3
from ollama_store import Store

GREEDY = {"temperature": 0, "max_tokens": 16}
PROMPT = "The capital of France is"
SMALL = {"CONTEXT_TOKENS": "1024", "THREADS": "2", "CACHE_WARMUP_ON_STARTUP": "false"}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "ollama")


@pytest.fixture
def serve(start_server, store):
    return lambda *arguments, **environment: start_server(
        *arguments, **(SMALL | {"OLLAMA_MODELS": str(store.root)} | environment)
    )


def completion(server, model: str, prompt: str = PROMPT) -> str:
    answer = server.post("/v1/completions", {"model": model, "prompt": prompt, **GREEDY})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["text"]


def chat(server, model: str) -> dict:
    body = {"model": model, "messages": harness.user("Hello"), "stream": False,
            "options": {"temperature": 0, "num_predict": 16}}  # fmt: skip
    answer = server.post("/api/chat", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def llama3(tmp_path, quant: str, embedding: int) -> pathlib.Path:
    path = tmp_path / "llama3.gguf"
    arguments = ["--vocabulary", "llama-bpe", "--embedding", str(embedding), "--quant", quant, "--tied-embeddings"]
    made = harness.run_binary("model", "synth", *arguments, "--output", str(path), folder=tmp_path)
    assert made.returncode == 0, made.stderr
    return path


def test_gemma3(serve, store, trained_file, tmp_path):
    proper = trained_file("gemma3")
    aged = age_gemma3(proper, tmp_path / "aged.gguf")
    store.put("gemma3/270m", aged)
    before = aged.stat()
    server = serve("--model", f"proper={proper}", CHAT_TEMPLATE="gemma", MODEL_CACHE_SIZE="2")
    assert completion(server, "gemma3:270m") == completion(server, "proper") != ""
    # The file has no template: it gets Google's, which llama.cpp has as "gemma".
    old, new = chat(server, "gemma3:270m"), chat(server, "proper")
    assert old["message"]["content"] == new["message"]["content"]
    assert old["prompt_eval_count"] == new["prompt_eval_count"]
    shown = server.post("/api/show", {"model": "gemma3:270m"}).json()
    assert shown["model_info"]["gemma3.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    assert "<start_of_turn>" in shown["template"]
    assert server.post("/api/show", {"model": "proper"}).json()["template"] == ""
    assert "is read as llama.cpp expects it (gemma3 1)" in server.log()
    assert server.log().count("is read as llama.cpp expects it") == 1, "the proper file is mapped"
    now = aged.stat()
    assert (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_llama3(serve, store, tmp_path):
    proper = llama3(tmp_path, "q8_0", 64)
    store.put("llama3/8b", age_llama3(proper, tmp_path / "aged.gguf"))
    server = serve("--model", f"proper={proper}")
    prompt = "I'm sure it's 1234567 of them;  \n\n so much"
    assert completion(server, "llama3:8b", prompt) == completion(server, "proper", prompt)
    assert chat(server, "llama3:8b")["message"] == chat(server, "proper")["message"]


def test_what_is_translated_can_be_quantised(serve, store, tmp_path):
    proper = llama3(tmp_path, "f16", 256)
    store.put("llama3/f16", age_llama3(proper, tmp_path / "aged.gguf"))
    store.put("proper/f16", proper)
    server = serve()
    for name in ("llama3", "proper"):
        body = {"model": f"{name}-small", "from": f"{name}:f16", "quantize": "q8_0", "stream": False}
        answer = server.post("/api/create", body)
        assert answer.status_code == 200, answer.text
    prompt = "I'm sure it's 1234567 of them;  \n\n so much"
    assert completion(server, "llama3-small", prompt) == completion(server, "proper-small", prompt)
    assert not list((tmp_path).rglob("blobs/tmp-*"))


def test_what_cannot_be_translated_says_why(serve, store, model_file, tmp_path):
    file = Gguf(model_file())
    for key in [key for key in file.pairs if key.startswith("llama.")]:
        file.move(key, key.replace("llama.", "gptoss."))
    file.pairs["general.architecture"] = b"\x08\0\0\0" + b"\x06\0\0\0\0\0\0\0" + b"gptoss"
    file.add_tensor("blk.0.ffn_gate_up_exps.weight")
    store.put("gpt-oss/mine", file.write(tmp_path / "fused.gguf"), config={"requires": "0.99.1", "renderer": "harmony"})
    server = serve("--model", f"toy={model_file()}")
    answer = server.post("/api/chat", {"model": "gpt-oss:mine", "messages": harness.user("Hello")})
    assert answer.status_code >= 400
    error = answer.json()["error"]
    assert "its experts have no pairs of a gate and an up" in error and "hf.co" in error, error
    assert "0.99.1" in error, error


def test_a_chat_that_ollama_has_code_for(serve, store, model_file, tmp_path):
    file = Gguf(model_file())
    del file.pairs["tokenizer.chat_template"]
    bare = file.write(tmp_path / "bare.gguf")
    store.put("qwen3-coder/toy", bare, config={"renderer": "qwen3-coder", "parser": "qwen3-coder", "draft": {}})
    store.put("cogito/toy", bare, config={"renderer": "cogito"})
    server = serve("--model", f"toy={model_file()}", MODEL_CACHE_SIZE="2")
    # ChatML is what that code writes, and what the toy's own template does.
    assert chat(server, "qwen3-coder:toy")["message"] == chat(server, "toy")["message"]
    assert "the draft model that comes with it is not used" in server.log()
    refused = server.post("/api/chat", {"model": "cogito:toy", "messages": harness.user("Hello")})
    assert refused.status_code == 400
    assert 'code of its own, "cogito"' in refused.json()["error"]
    assert completion(server, "cogito:toy") == completion(server, "toy")
