"""Routes that llama-server has of its own, and that editors' programs use."""

import json

import harness
import pytest


def test_a_text_becomes_tokens_and_tokens_a_text(server):
    text = "grüße <|im_end|> 日本"
    tokens = server.post("/tokenize", {"content": text}).json()["tokens"]
    assert tokens and all(isinstance(token, int) for token in tokens)
    assert server.post("/detokenize", {"tokens": tokens}).json() == {"content": text}


def test_names_of_control_tokens_are_text_on_demand(server):
    parsed = server.post("/tokenize", {"content": "<|im_end|>"}).json()["tokens"]
    plain = server.post("/tokenize", {"content": "<|im_end|>", "parse_special": False}).json()["tokens"]
    assert len(parsed) == 1 < len(plain)
    assert server.post("/detokenize", {"tokens": plain}).json() == {"content": "<|im_end|>"}


def test_pieces_are_text_or_bytes(server):
    pieces = server.post("/tokenize", {"content": "a 日", "with_pieces": True}).json()["tokens"]
    joined = b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces)
    assert joined.decode() == "a 日"


def test_nothing_is_no_tokens(server):
    assert server.post("/tokenize", {"content": ""}).json() == {"tokens": []}
    assert server.post("/detokenize", {"tokens": []}).json() == {"content": ""}


def test_a_chat_is_shown_as_the_model_reads_it(server):
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    prompt = server.post("/apply-template", chat).json()["prompt"]
    assert prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    counted = len(server.post("/tokenize", {"content": prompt, "add_special": True}).json()["tokens"])
    answer = server.post("/v1/chat/completions", {**chat, "max_tokens": 1}).json()
    assert answer["usage"]["prompt_tokens"] == counted


def test_errors_name_the_field(server):
    for path, body, field in [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": 3}, "content"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": [2**30]}, "tokens"),
        ("/detokenize", {"tokens": [1] * (2**20 + 1)}, "tokens"),
        ("/apply-template", {"messages": []}, "messages"),
        ("/tokenize", {"content": "a", "model": "no such"}, "model"),
    ]:
        answer = server.post(path, body)
        assert answer.status_code in (400, 404), (path, answer.text)
        assert answer.json()["error"]["param"] == field, (path, answer.text)


def test_a_text_longer_than_any_context_is_read(server):
    text = "word " * 100_000
    tokens = server.post("/tokenize", {"content": text}).json()["tokens"]
    assert len(tokens) > 50_000
    assert server.post("/detokenize", {"tokens": tokens}).json()["content"] == text


def test_completion_answers_as_llama_server_does(server):
    body = {"prompt": "Once upon a time", "n_predict": 8, "temperature": 0, "return_tokens": True}
    answer = server.post("/completion", body).json()
    assert answer["stop"] is True and answer["stop_type"] in ("limit", "eos")
    assert answer["prompt"] == "Once upon a time" and answer["tokens_predicted"] == 8
    assert len(answer["tokens"]) == 8
    assert answer["timings"]["predicted_n"] == 8 and answer["timings"]["predicted_ms"] > 0
    assert server.post("/detokenize", {"tokens": answer["tokens"]}).json()["content"] == answer["content"]
    same = server.post("/v1/completions", {"prompt": body["prompt"], "max_tokens": 8, "temperature": 0}).json()
    assert same["choices"][0]["text"] == answer["content"]
    streamed = server.post("/completions", {**body, "stream": True}).text
    events = [json.loads(line[len("data: "):]) for line in streamed.splitlines() if line]
    assert "".join(event["content"] for event in events) == answer["content"]
    assert [event["stop"] for event in events[-2:]] == [False, True]


def test_a_stop_string_is_named(server):
    whole = server.post("/completion", {"prompt": "Once upon a time", "n_predict": 20, "temperature": 0}).json()["content"]
    word = whole[6:9]
    cut = server.post("/completion", {"prompt": "Once upon a time", "n_predict": 20, "temperature": 0, "stop": [word]}).json()
    assert cut["stop_type"] == "word" and cut["stopping_word"] == word
    assert cut["content"] == whole[: whole.index(word)]


def test_only_the_fields_that_are_wanted(server):
    body = {"prompt": "a", "n_predict": 2, "response_fields": ["content", "timings/predicted_n", "no/such"]}
    assert set(server.post("/completion", body).json()) == {"content", "timings/predicted_n"}


def test_nothing_to_predict_warms_the_prompt(server):
    text = "the quick brown fox jumps over the lazy dog " * 8
    first = server.post("/completion", {"prompt": text, "n_predict": 0}).json()
    assert first["content"] == "" and first["tokens_predicted"] == 0
    second = server.post("/completion", {"prompt": text + "and", "n_predict": 1}).json()
    assert second["timings"]["cache_n"] > 50


@pytest.fixture(scope="module")
def filler(tmp_path_factory):
    """A server with a model whose vocabulary has tokens for gaps, and one that ranks texts."""
    folder = tmp_path_factory.mktemp("filler")
    for preset in ("toy-coder", "toy-reranker"):
        made = harness.run_binary("model", "synth", "--preset", preset, "--output", str(folder / f"{preset}.gguf"), folder=folder)
        assert made.returncode == 0, made.stderr
    models = [f"{name}={folder / name}.gguf" for name in ("toy-coder", "toy-reranker")]
    with harness.running(folder, "--model", models[0], "--model", models[1]) as started:
        yield started


def test_an_editors_request_is_answered(filler):
    """What llama.vim sends, field for field."""
    body = {"model": "toy-coder", "input_prefix": "def add(a, b):\n", "input_suffix": "\n\nprint(add(1, 2))\n", "prompt": "    ",
            "input_extra": [{"text": "import os\n", "time": 1.0, "filename": "os.py"}], "n_predict": 16, "n_indent": 4,
            "stop": [], "top_k": 40, "top_p": 0.90, "stream": False, "samplers": ["top_k", "top_p", "infill"],
            "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
            "response_fields": ["content", "timings/prompt_n", "timings/prompt_ms", "timings/predicted_per_second",
                                "truncated", "tokens_cached"]}  # fmt: skip
    answer = filler.post("/infill", body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == set(body["response_fields"])
    for line in answer.json()["content"].split("\n")[1:-1]:
        assert len(line) - len(line.lstrip(" \t")) >= 4


def test_a_model_that_fills_no_gaps_says_so(server):
    answer = server.post("/infill", {"input_prefix": "a", "input_suffix": "b"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "input_suffix"


def test_ranks_come_best_first(filler):
    body = {"model": "toy-reranker", "query": "what is it?", "documents": ["a word", "another one", "the third", "x " * 40]}
    for path in ("/v1/rerank", "/rerank", "/reranking"):
        answer = filler.post(path, body).json()
        scores = [result["relevance_score"] for result in answer["results"]]
        assert sorted(result["index"] for result in answer["results"]) == [0, 1, 2, 3]
        assert scores == sorted(scores, reverse=True) and answer["usage"]["prompt_tokens"] > 40
    best = filler.post("/rerank", {**body, "top_n": 1, "return_documents": True}).json()["results"]
    assert len(best) == 1 and best[0]["document"]["text"] == body["documents"][best[0]["index"]]
    tei = filler.post("/rerank", {"model": "toy-reranker", "query": "q", "texts": ["a", "b"]}).json()
    assert {result["index"] for result in tei} == {0, 1}
    long = filler.post("/rerank", {**body, "documents": ["a", "word " * 600]})
    assert long.status_code == 400 and long.json()["error"]["param"] == "documents[1]"
    wrong = filler.post("/v1/embeddings", {"model": "toy-reranker", "input": "a"})
    assert wrong.status_code == 400 and "/v1/rerank" in wrong.json()["error"]["message"]


def test_props_and_slots(server):
    props = server.client.get(server.url + "/props").json()
    assert props["model_alias"] == "toy" and "<|im_start|>" in props["chat_template"]
    assert props["default_generation_settings"]["n_ctx"] > 0
    slots = server.client.get(server.url + "/slots").json()
    assert len(slots) >= props["total_slots"] and not any(slot["is_processing"] for slot in slots)
    assert server.client.get(server.url + "/props?model=no%20such").status_code == 404


def test_biases_and_samplers(server):
    chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 6, "temperature": 0}
    token = server.post("/tokenize", {"content": "z"}).json()["tokens"][0]
    forced = server.post("/v1/chat/completions", {**chat, "logit_bias": {str(token): 1000}}).json()
    assert forced["choices"][0]["message"]["content"] == "z" * 6
    wrong = server.post("/v1/chat/completions", {**chat, "logit_bias": {"1000000": 1}})
    assert wrong.status_code == 400 and wrong.json()["error"]["param"] == "logit_bias"
    for more in ({"typical_p": 0.5}, {"mirostat": 2}, {"mirostat": 1}, {"dry_multiplier": 0.8}, {"xtc_probability": 0.5},
                 {"top_n_sigma": 1.0}, {"dynatemp_range": 0.5}, {"samplers": ["top_k", "infill"]}):  # fmt: skip
        body = {**chat, "temperature": 1, "seed": 5, **more}
        first, second = (server.post("/v1/chat/completions", body).json() for _ in range(2))
        assert first["choices"][0]["message"] == second["choices"][0]["message"], more
        ollama = server.post("/api/chat", {"model": "toy", "messages": chat["messages"], "stream": False,
                                            "options": {"num_predict": 3, **more}})  # fmt: skip
        assert ollama.status_code == 200, ollama.text
