"""Ollama's routes, spoken to by its official client for Python, and with what its documents say for curl."""

import datetime
import json
import subprocess

import httpx
import ollama
import pytest

import gguf_aged
import harness

GREEDY = {"temperature": 0, "num_predict": 16}
ASK = harness.user("Hello")


def client_of(server) -> ollama.Client:
    return ollama.Client(host=server.url, timeout=60 * harness.SLOWDOWN)


@pytest.fixture
def client(server):
    return client_of(server)


def curl(server, path: str, body: str) -> str:
    """As Ollama's documents have it: no Content-Type, so curl calls the body a form."""
    done = subprocess.run(
        ["curl", "-sS", "-N", server.url + path, "-d", body], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_chat(client):
    answer = client.chat("toy", ASK, options=GREEDY)
    assert answer.model == "toy"
    assert answer.message.role == "assistant"
    assert answer.message.content
    assert answer.done and answer.done_reason == "length"
    assert (answer.eval_count, answer.prompt_eval_count > 0) == (16, True)
    assert 0 < answer.prompt_eval_duration + answer.eval_duration <= answer.total_duration
    assert 0 <= answer.load_duration <= answer.total_duration


def test_a_stream_adds_up_to_the_answer(client):
    whole = client.chat("toy", ASK, options=GREEDY)
    *parts, last = client.chat("toy", ASK, options=GREEDY, stream=True)
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert not any(part.done for part in parts)
    assert (last.done, last.message.content, last.eval_count) == (True, "", 16)


def test_streams_are_lines_of_json_unless_told_otherwise(server):
    text = curl(server, "/api/chat", json.dumps({"model": "toy", "messages": ASK, "options": GREEDY}))
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) >= 2
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    with httpx.stream("POST", server.url + "/api/chat", json={"model": "toy", "messages": ASK}, timeout=60) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"


def test_generate_is_a_chat_of_one_message(client):
    chat = client.chat("toy", [{"role": "system", "content": "Be brief."}, *ASK], options=GREEDY)
    text = client.generate("toy", "Hello", system="Be brief.", options=GREEDY)
    assert text.response == chat.message.content
    parts = client.generate("toy", "Hello", system="Be brief.", options=GREEDY, stream=True)
    assert "".join(part.response for part in parts) == text.response


def test_a_raw_prompt_goes_as_it_is(client, server):
    raw = client.generate("toy", "Once", raw=True, options=GREEDY)
    body = {"model": "toy", "prompt": "Once", "temperature": 0, "max_tokens": 16}
    assert raw.response == server.post("/v1/completions", body).json()["choices"][0]["text"]
    assert raw.response != client.generate("toy", "Once", options=GREEDY).response


def test_a_request_may_have_a_template(client):
    asked = {"template": "{{ if .System }}{{ .System }}\n{{ end }}Q: {{ .Prompt }}\nA:", "options": GREEDY}
    written = client.generate("toy", "Hello", system="Be brief.", **asked)
    assert written.response == client.generate("toy", "Be brief.\nQ: Hello\nA:", raw=True, options=GREEDY).response
    for wrong in ("{{ if }}", "{{ .Prompt", "Hello", "{{ index .Messages 9 }}"):
        with pytest.raises(ollama.ResponseError) as refused:
            client.generate("toy", "Hello", template=wrong)
        assert refused.value.status_code == 400, wrong


def test_a_model_without_a_template_gets_the_plain_prompt(gemma3, tmp_path):
    with harness.running(tmp_path, "--model", gemma3) as server:
        client = client_of(server)
        plain = client.generate("gemma3", "The capital of France is", options=GREEDY)
        body = {"model": "gemma3", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 16}
        assert plain.response == server.post("/v1/completions", body).json()["choices"][0]["text"]
        with pytest.raises(ollama.ResponseError, match="template") as refused:
            client.chat("gemma3", ASK)
        assert refused.value.status_code == 400


def test_a_format_is_kept_to(client):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"],
              "additionalProperties": False}  # fmt: skip
    answer = client.chat("toy", ASK, format=schema, options={"temperature": 0, "num_predict": 200})
    assert set(json.loads(answer.message.content)) == {"n"}
    answer = client.generate("toy", "Hello", format="json", options={"num_predict": 2000, "seed": 1})
    if answer.done_reason == "stop":
        assert isinstance(json.loads(answer.response), dict)
    else:
        assert answer.response.startswith("{")


def test_scores_of_tokens(client):
    answer = client.chat("toy", ASK, logprobs=True, top_logprobs=2, options=GREEDY)
    assert len(answer.logprobs) == 16
    assert all(len(one.top_logprobs) == 2 and one.logprob <= 0 for one in answer.logprobs)
    parts = client.chat("toy", ASK, logprobs=True, options=GREEDY, stream=True)
    assert sum(len(part.logprobs or []) for part in parts) == 16


def test_embeddings(client):
    one = client.embed("toy", "Hello")
    two = client.embed("toy", ["Hello", "world"])
    assert len(one.embeddings) == 1 and len(two.embeddings) == 2
    assert two.embeddings[0] == pytest.approx(one.embeddings[0], abs=1e-5)
    assert sum(x * x for x in one.embeddings[0]) == pytest.approx(1, abs=1e-4)
    assert 0 < one.prompt_eval_count < two.prompt_eval_count
    assert len(client.embed("toy", "Hello", dimensions=8).embeddings[0]) == 8
    assert client.embeddings("toy", "Hello").embedding == pytest.approx(one.embeddings[0], abs=1e-5)


def test_models_are_loaded_and_unloaded_by_empty_requests(model_file, tmp_path):
    with harness.running(tmp_path, "--model", f"a={model_file(1)}", "--model", f"b={model_file(2)}",
                         MODEL_CACHE_SIZE="2", STANDBY_ENGINES="0") as server:  # fmt: skip
        client = client_of(server)
        loaded = client.generate("b")
        assert (loaded.done_reason, loaded.response) == ("load", "")
        assert len(server.engines()) == 2
        unloaded = client.chat("b", [], keep_alive=0)
        assert (unloaded.done_reason, unloaded.message.content) == ("unload", "")
        assert len(server.engines()) == 1
        assert client.generate("b", keep_alive=0).done_reason == "unload", "a cold one stays cold"
        assert len(server.engines()) == 1
        assert client.embed("b", []).embeddings == []
        assert len(server.engines()) == 2


def test_models_are_listed_and_shown(smollm2, tmp_path):
    with harness.running(tmp_path, "--model", smollm2) as server:
        client = client_of(server)
        listed = {model.model: model for model in client.list().models}
        assert set(listed) == {model["id"] for model in httpx.get(server.url + "/v1/models").json()["data"]}
        model = listed["smollm2"]
        assert (model.details.family, model.details.parameter_size) == ("llama", "134.52M")
        assert model.details.quantization_level == "Q4_1"
        assert len(model.digest) == 64 and model.size > 50_000_000
        assert client.list().models[0].digest == client.list().models[0].digest, "the same file, the same digest"

        shown = client.show("smollm2")
        assert shown.modelinfo["general.architecture"] == "llama"
        assert shown.modelinfo["llama.context_length"] == 8192
        assert shown.modelinfo["tokenizer.ggml.tokens"] is None
        assert "<|im_start|>" in shown.template and shown.template in shown.modelfile
        assert shown.capabilities == ["completion"]
        verbose = server.post("/api/show", {"model": "smollm2", "verbose": True}).json()
        assert len(verbose["model_info"]["tokenizer.ggml.tokens"]) == 49152
        with pytest.raises(ollama.ResponseError, match="nobody") as missing:
            client.show("nobody")
        assert missing.value.status_code == 404

        client.generate("smollm2", keep_alive="1h")
        (running,) = client.ps().models
        assert (running.model, running.details.family) == ("smollm2", "llama")
        assert running.size > 50_000_000 and running.size_vram == 0
        left = running.expires_at - datetime.datetime.now(datetime.timezone.utc)
        assert datetime.timedelta(minutes=50) < left < datetime.timedelta(minutes=61)
        assert server.post("/api/generate", {"model": "smollm2", "keep_alive": -1}).status_code == 200
        assert client.ps().models[0].expires_at.year > 2100


def test_errors_have_ollamas_shape(server, client):
    with pytest.raises(ollama.ResponseError, match="nobody") as missing:
        client.chat("nobody", ASK)
    assert missing.value.status_code == 404
    answer = server.post("/api/chat", {"model": "toy", "messages": ASK, "options": {"temperature": 9}})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"] and "options.temperature" in answer.json()["error"]
    assert httpx.get(server.url + "/api/chat").json()["error"]
    assert httpx.get(server.url + "/api/nothing").status_code == 404
    with pytest.raises(ollama.ResponseError, match="think"):
        client.chat("toy", ASK, think=True)
    with pytest.raises(ollama.ResponseError, match=r"options\.num_ctx.*trained for"):
        client.chat("toy", ASK, options={"num_ctx": 1 << 20})
    client.chat("toy", ASK, options={"num_ctx": 256, **GREEDY})


def test_a_gap_is_filled(model_file, tmp_path):
    """The toy has no tokens for that, so others are told to be them."""
    file = gguf_aged.Gguf(model_file())
    words = file.texts("tokenizer.ggml.tokens")
    for part, word in {"pre": b"<|im_start|>", "suf": b"<|im_end|>", "mid": b"<|endoftext|>"}.items():
        file.set_number(f"tokenizer.ggml.fim_{part}_token_id", words.index(word))
    filler = file.write(tmp_path / "filler.gguf")
    with harness.running(tmp_path, "--model", f"filler={filler}", "--model", f"toy={model_file(2)}") as server:
        client = client_of(server)
        filled = client.generate("filler", "def f(x):", suffix="return y", options=GREEDY)
        asked = {"model": "filler", "temperature": 0, "max_tokens": 16}
        marked = "<|im_start|>def f(x):<|im_end|>return y<|endoftext|>"
        expected = server.post("/v1/completions", asked | {"prompt": marked}).json()["choices"][0]["text"]
        assert filled.response == expected
        assert client.show("filler").capabilities == ["completion", "insert"]
        assert client.show("toy").capabilities == ["completion"]
        both = server.post("/v1/completions", asked | {"prompt": "def f(x):", "suffix": "return y"}).json()
        assert both["choices"][0]["text"] == expected
        named = client.generate("filler", "a<|im_end|>b", suffix="c", options=GREEDY)
        assert named.prompt_eval_count > 6, "the name of a token in the text is text"
        with pytest.raises(ollama.ResponseError, match="gaps") as refused:
            client.generate("toy", "def f(x):", suffix="return y")
        assert refused.value.status_code == 400


def test_a_generation_goes_on_where_another_ended(client):
    first = client.generate("toy", "Hello", options=GREEDY)
    *_, last = client.generate("toy", "Hello", options=GREEDY, stream=True)
    assert last.context == first.context
    assert len(first.context) == first.prompt_eval_count + 16
    second = client.generate("toy", "And now?", context=first.context, options=GREEDY)
    chat = client.chat("toy", [*ASK, {"role": "assistant", "content": first.response}, *harness.user("And now?")],
                       options=GREEDY)  # fmt: skip
    assert second.prompt_eval_count > first.prompt_eval_count + 16
    assert second.context[: len(first.context)] == first.context
    assert chat.prompt_eval_count - second.prompt_eval_count in (0, 1, 2), "but for the end of the first answer"
    assert client.generate("toy", "Hello", raw=True, options=GREEDY).context is None
    with pytest.raises(ollama.ResponseError, match="1000000 is no token"):
        client.generate("toy", "Hello", context=[1000000])


def test_what_is_too_long_is_cut_when_that_is_asked_for(toy, tmp_path):
    with harness.running(tmp_path, "--model", toy, CONTEXT_TOKENS="512", BATCH_SIZE="1") as server:
        client = client_of(server)
        turns = [
            {"role": "user", "content": f"Question {i}? " + "word " * 20} if i % 2 == 0
            else {"role": "assistant", "content": f"Answer {i}. " + "word " * 20}
            for i in range(41)
        ]  # fmt: skip
        system = {"role": "system", "content": "Be brief."}
        body = {"model": "toy", "messages": [system, *turns], "options": GREEDY, "stream": False}
        assert httpx.post(server.url + "/api/chat", json=body).status_code == 400
        cut = httpx.post(server.url + "/api/chat", json=body | {"truncate": True}).json()
        kept = next(n for n in range(1, 41, 2)
                    if client.chat("toy", [system, *turns[-n:]], options=GREEDY).prompt_eval_count
                    == cut["prompt_eval_count"])  # fmt: skip
        whole = client.chat("toy", [system, *turns[-kept:]], options=GREEDY)
        assert cut["message"]["content"] == whole.message.content
        longer = body | {"messages": [system, *turns[-kept - 2 :]]}
        assert httpx.post(server.url + "/api/chat", json=longer).status_code == 400, "as few as need be"

        text = "some words " * 1000
        with pytest.raises(ollama.ResponseError, match="512"):
            client.embed("toy", text)
        assert client.embed("toy", text, truncate=True).prompt_eval_count == 512


def context_of(client, model: str) -> int:
    return next(one.context_length for one in client.ps().models if one.model == model)


def test_more_context_is_loaded_when_a_request_needs_it(endless, tmp_path):
    with harness.running(tmp_path, "--model", endless, BATCH_SIZE="1") as server:
        client = client_of(server)
        client.chat("endless", ASK, options=GREEDY)
        usual, engine = context_of(client, "endless"), server.only_engine()
        assert usual == 8192
        client.chat("endless", ASK, options={"num_ctx": 4096, **GREEDY})
        assert server.only_engine() == engine, "less than there is"

        long = {"model": "endless", "messages": ASK, "options": {"temperature": 0, "num_predict": 300}}
        with httpx.stream("POST", server.url + "/api/chat", timeout=60, json=long) as running:
            lines = running.iter_lines()
            next(lines)
            answer = client.chat("endless", ASK, options={"num_ctx": 20000, **GREEDY})
            *_, last = lines
            assert json.loads(last)["eval_count"] == 300, "what ran goes on to its end"
        assert answer.eval_count == 16
        assert context_of(client, "endless") == 20224
        harness.wait_until("the engine before has ended", lambda: engine not in server.engines())
        wider = server.only_engine()
        client.chat("endless", ASK, options={"num_ctx": 9000, **GREEDY})
        client.generate("endless", options={"num_ctx": 20100})
        assert server.only_engine() == wider, "there is enough already"
        assert "with 20000 KV cells for a request with num_ctx=20000" in server.log()
        client.generate("endless", keep_alive=0)
        client.generate("endless", options={"num_ctx": 30000})  # loads it so at once
        assert context_of(client, "endless") == 30208
        assert server.log().count("with 30000 KV cells") == 0


def test_more_context_only_where_nobody_else_has_a_say(endless, tmp_path):
    def refusal(server, **more):
        body = {"model": "endless", "messages": ASK, "options": {"num_ctx": 20000}}
        answer = httpx.post(server.url + "/api/chat", json=body, timeout=60, **more)
        assert answer.status_code == 400
        return answer.json()["error"]

    with harness.running(tmp_path, "--model", endless, CONTEXT_TOKENS="8192") as server:
        assert "CONTEXT_TOKENS" in refusal(server)
    with harness.running(tmp_path, "--model", endless, BATCH_SIZE="1", API_KEYS="k", ADMIN_API_KEYS="a") as server:
        assert "administrator" in refusal(server, headers={"Authorization": "Bearer k"})
    if harness.SLOWDOWN > 1:
        return  # with a sanitizer's own memory no model fits into so little
    with harness.running(tmp_path, "--model", endless, BATCH_SIZE="1", MODEL_CACHE_BYTES="52MiB") as server:
        client_of(server).chat("endless", ASK, options=GREEDY)
        engine = server.only_engine()
        assert "MODEL_CACHE_BYTES" in refusal(server)
        assert server.only_engine() == engine


def test_an_error_in_a_stream_is_its_last_line(endless, tmp_path):
    with harness.running(tmp_path, "--model", endless, CONTEXT_TOKENS=harness.ENDLESS) as server:
        body = {"model": "endless", "messages": ASK, "options": {"temperature": 0}}
        with httpx.stream("POST", server.url + "/api/chat", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            assert not json.loads(next(lines))["done"]
            subprocess.run(["kill", "-9", str(server.only_engine())], check=True)
            *_, last = lines
        assert list(json.loads(last)) == ["error"]


def test_what_clients_look_for_first(server):
    assert httpx.get(server.url).text == "Ollama is running"
    assert httpx.head(server.url).status_code == 200
    major, minor, _ = httpx.get(server.url + "/api/version").json()["version"].split(".")
    assert (int(major), int(minor)) >= (0, 6), "what editors ask for"
