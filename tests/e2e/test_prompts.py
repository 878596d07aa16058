"""Prompts that are long, hostile or asked for many times."""

import pathlib
import threading
import time

import httpx
import pytest

import harness


@pytest.fixture(scope="module")
def model_with(tmp_path_factory):
    """model_with(vocabulary): the --model argument of a toy model with a vocabulary of llama.cpp's tree, by its name."""
    folder = tmp_path_factory.mktemp("vocabularies")

    def make(vocabulary: str) -> str:
        path = folder / f"{vocabulary}.gguf"
        if not path.exists():
            arguments = ["--preset", "toy", "--vocabulary", vocabulary, "--context", "8192", "--output", str(path)]
            made = harness.run_binary("model", "synth", *arguments, folder=folder)
            assert made.returncode == 0, made.stderr
        return f"{vocabulary}={path}"

    return make


def memory_peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def complete(server, prompt, **fields) -> httpx.Response:
    return server.post("/v1/completions", {"prompt": prompt, "max_tokens": 2, "temperature": 0, **fields})


def test_runs_that_broke_the_tokenizer(start_server, model_with):
    server = start_server("--model", model_with("deepseek-llm"), CONTEXT_TOKENS="8192")
    engine = server.only_engine()
    for prompt, least in [("a" * 40_000, 5000), ("A" * 5000, 100), (" " * 20_000 + "1", 100), ("漢" * 8000, 8000)]:
        answer = complete(server, prompt)
        if answer.status_code == 200:
            assert answer.json()["usage"]["prompt_tokens"] >= least
        else:
            assert "context holds 8192" in answer.json()["error"]["message"], answer.text
    assert complete(server, "a" * 40_000).json()["usage"]["prompt_tokens"] == 5001
    assert server.only_engine() == engine


def test_what_cannot_fit_is_refused_by_its_size(server):
    answer = complete(server, "x" * (6 << 20))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "prompt"
    assert error["code"] == "context_length_exceeded"
    for words in ("at least", "stands for more than", "this model's context holds 8192"):
        assert words in error["message"]


def test_short_prompts_pass_long_ones(server):
    text = "".join(f"word {i}, " for i in range(5000))  # may fit by its bytes, and does not
    ended = []

    def ask_for_long():
        with httpx.Client(timeout=60 * harness.SLOWDOWN) as client:
            ended.append(client.post(server.url + "/v1/completions", json={"prompt": [text[i:] for i in range(100)]}).status_code)

    threads = [threading.Thread(target=ask_for_long) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05 * harness.SLOWDOWN)
    assert complete(server, "Hello").status_code == 200
    for thread in threads:
        thread.join()
    assert ended == [400, 400]


def test_many_answers_cost_one_prompt(start_server, toy):
    server = start_server("--model", toy, MAX_BODY_BYTES="16MiB")
    before = memory_peak(server.pid)
    answer = complete(server, "x" * 7_700_000, n=128)
    assert answer.status_code == 400
    assert "stands for more than" in answer.json()["error"]["message"]
    grown = memory_peak(server.pid) - before
    assert grown < 150 << 20, f"{grown >> 20} MB for a body of 7.7 MB"


def test_many_answers_are_all_there(server):
    fields = {"temperature": 1.2, "seed": 9, "max_tokens": 4, "ignore_eos": True, "n": 60}
    answer = complete(server, "Tell me of the sea. " * 20, **fields).json()
    assert [choice["index"] for choice in answer["choices"]] == list(range(60))
    assert len({choice["text"] for choice in answer["choices"]}) > 30
    single = complete(server, "Tell me of the sea. " * 20, **(fields | {"n": 1})).json()
    assert answer["usage"]["prompt_tokens"] == single["usage"]["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == 240
    assert answer["choices"][0]["text"] == single["choices"][0]["text"]


def test_an_idle_engine_takes_more_answers_than_may_wait(start_server, toy):
    server = start_server("--model", toy, MAX_QUEUE="2", BATCH_SIZE="2", BATCH_SIZE_MAX="2")
    answer = complete(server, "Hello", n=40, ignore_eos=True)
    assert len(answer.json()["choices"]) == 40


def test_the_token_that_begins_a_text_is_there_once(start_server, model_with):
    server = start_server("--model", model_with("llama-spm"))
    plain = complete(server, "Hello").json()
    again = complete(server, "<s>Hello").json()
    assert again["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]
    assert again["choices"] == plain["choices"]
    assert server.log().count("there is no second") == 1


def test_a_stop_string_that_is_a_control_token(start_server, smollm2):
    server = start_server("--model", smollm2, CONTEXT_TOKENS="4096")
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    fields = {"max_tokens": 120, "ignore_eos": True}
    whole = complete(server, prompt, **fields).json()["choices"][0]
    assert whole["finish_reason"] == "length"
    assert "<|im_" not in whole["text"]
    answer = complete(server, prompt, **fields | {"ignore_eos": False}).json()["choices"][0]["text"]
    for stop in ("<|im_end|>", answer[-6:] + "<|im_end|>", "<|im_end|>\n"):
        stopped = complete(server, prompt, stop=[stop], **fields).json()["choices"][0]
        assert stopped["finish_reason"] == "stop", stop
        cut = answer[:-6] if stop.startswith(answer[-6:]) else answer
        assert stopped["text"] == cut, stop
