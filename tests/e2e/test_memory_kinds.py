"""Models whose memory cannot be cut at any token: recurrent, hybrid, sliding window. Whoever is beside a request, the
answer is the one that it gets alone."""

import concurrent.futures
import contextlib

import httpx
import pytest

import harness

CLOSE = 0.05  # nats: two tokens closer than this may change places with the shape of a batch

SYSTEM = "You are the keeper of a lighthouse and you answer every question with a long story about the sea. " * 5


@pytest.fixture(scope="module", params=["toy-mamba", "toy-jamba", "toy-gemma3"])
def model(request, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp(request.param)
    made = harness.run_binary("model", "synth", "--preset", request.param, "--quant", "f32", "--output",
                              str(folder / "model.gguf"), folder=folder)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return f"one={folder / 'model.gguf'}"


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with harness.running(tmp_path_factory.mktemp("kinds"), "--model", model) as one:
        yield one


@pytest.fixture(scope="module")
def lonely(tmp_path_factory, model):
    """A server that shares nothing and is asked one thing at a time."""
    with harness.running(tmp_path_factory.mktemp("lonely"), "--model", model, PREFIX_SHARING="false") as one:
        yield one


def body(i: int, n: int = 40) -> dict:
    messages = [{"role": "system", "content": SYSTEM}, *harness.user(f"What does number {i * 37} say?")]
    return {"model": "one", "messages": messages, "temperature": 0, "max_tokens": n, "logprobs": True, "top_logprobs": 2}


def ask(server, i: int, n: int = 40) -> dict:
    answer = server.post("/v1/chat/completions", body(i, n))
    assert answer.status_code == 200, answer.text
    return answer.json()


def expect_same(answer: dict, alone: dict) -> None:
    for got, wanted in zip(answer["choices"][0]["logprobs"]["content"], alone["choices"][0]["logprobs"]["content"]):
        if got["token"] != wanted["token"]:
            first, second = wanted["top_logprobs"]
            assert first["logprob"] - second["logprob"] < CLOSE, "another answer at a clear choice"
            return
    assert answer["choices"][0]["finish_reason"] == alone["choices"][0]["finish_reason"]


def cached(answer: dict) -> int:
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_chats_with_one_system_prompt(server, lonely):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ask(server, i), range(16)))
    for i in range(0, 16, 3):
        alone = ask(lonely, i)
        assert cached(alone) == 0
        expect_same(answers[i], alone)
    # All but those that came first started from its state.
    prompt = answers[0]["usage"]["prompt_tokens"]
    shared = [cached(answer) for answer in answers]
    assert all(n < prompt for n in shared)
    assert sum(n > 0.8 * prompt for n in shared) >= 12, shared


def test_prompts_that_are_given_up_leave_the_others_alone(server, lonely):
    long = body(100, 4) | {"messages": harness.user("word " * 6000)}

    def give_up() -> None:
        with contextlib.suppress(httpx.TimeoutException):
            server.post("/v1/chat/completions", long, timeout=0.15)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        streams = [pool.submit(ask, server, i, 120) for i in range(20, 23)]
        for _ in range(4):
            pool.submit(give_up).result()
        for i, stream in enumerate(streams):
            expect_same(stream.result(), ask(lonely, 20 + i, 120))
    expect_same(ask(server, 30), ask(lonely, 30))


def test_artifacts_are_refused_with_the_reason(server):
    answer = server.post("/api/v1/streaming/cache/manage", {"action": "save", "models": ["one"]})
    assert "cannot be taken apart" in answer.text, answer.text
