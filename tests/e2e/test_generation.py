"""What is written: stop strings, whole characters, seeds, limits, and independence from the company in the batch."""

import concurrent.futures
import random
import re

import pytest

import harness

GREEDY = {"temperature": 0, "ignore_eos": True}
PROMPTS = ["Hello", "Count to ten", "Explain advanced computing", "ü 你好 🙂", "What is deep learning?"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_chunks_are_whole_characters_and_add_up(server, prompt):
    """Random weights pick tokens that are single bytes of longer characters; parse_sse decodes each frame strictly."""
    streamed = server.settled_chat(prompt, max_tokens=200, **GREEDY)
    whole = server.post(
        harness.STREAM_PATH, {"messages": harness.user(prompt), "max_tokens": 200, "stream": False, **GREEDY}
    ).json()
    assert streamed.text == whole["content"]
    assert all(not 0xD800 <= ord(letter) <= 0xDFFF for letter in streamed.text)


def pick_stops(text: str, count: int, source: random.Random) -> list[str]:
    """Substrings of 1 to 12 characters, wherever the chunks of `text` may have been cut."""
    picked = []
    while len(picked) < count:
        at = source.randrange(len(text) // 4, len(text) - 1)
        piece = text[at : at + source.randint(1, 12)]
        if piece and "\ufffd" not in piece:
            picked.append(piece)
    return picked


def test_stop_strings_never_leak(server):
    source = random.Random(20250126)
    full = server.settled_chat("Write a long story", max_tokens=120, **GREEDY).text
    for stop in pick_stops(full, 25, source):
        answer = server.chat("Write a long story", max_tokens=120, stop=stop, **GREEDY)
        assert answer.text == full[: full.index(stop)], f"stop {stop!r}"
        assert answer.finish_reason == "stop"
        assert answer.events[-2]["is_final"] is True


def test_the_first_of_several_stop_strings_counts(server):
    """First is the one that ends first, which does not depend on how the text is cut; of those the longest."""
    source = random.Random(7)
    full = server.settled_chat("Write a long story", max_tokens=120, **GREEDY).text
    for _ in range(5):
        stops = pick_stops(full, 4, source)
        answer = server.chat("Write a long story", max_tokens=120, stop=stops, **GREEDY)
        _, begin = min((full.index(stop) + len(stop), full.index(stop)) for stop in stops)
        assert answer.text == full[:begin], stops


def test_a_stop_string_that_does_not_come_holds_nothing_back(server):
    """The beginning of a stop string at the very end of the answer is text like any other."""
    full = server.settled_chat("Write a long story", max_tokens=60, **GREEDY).text
    answer = server.chat("Write a long story", max_tokens=60, stop=[full[-3:] + "\x01never"], **GREEDY)
    assert answer.text == full
    assert answer.finish_reason == "length"


@pytest.mark.parametrize("max_tokens", [1, 2, 33])
def test_max_tokens_is_kept(server, max_tokens):
    answer = server.settled_chat("Hello", max_tokens=max_tokens, **GREEDY)
    assert answer.usage["completion_tokens"] == max_tokens
    assert answer.finish_reason == "length"
    longer = server.chat("Hello", max_tokens=64, **GREEDY)
    assert longer.text.startswith(answer.text.rstrip("\ufffd"))


def test_seeds_reproduce(server):
    fields = {"temperature": 1.5, "top_k": 0, "top_p": 1, "min_p": 0, "max_tokens": 40, "ignore_eos": True}
    first = server.settled_chat("Hello", seed=42, **fields)
    again = server.chat("Hello", seed=42, **fields)
    other = server.chat("Hello", seed=43, **fields)
    unseeded = {server.chat("Hello", **fields).text for _ in range(3)}
    assert first.text == again.text
    assert first.text != other.text
    assert len(unseeded) == 3


def test_sampling_fields_have_an_effect(server):
    greedy = server.settled_chat("Hello", max_tokens=40, **GREEDY).text
    assert server.chat("Hello", max_tokens=40, ignore_eos=True, temperature=1.5, top_k=1, seed=1).text == greedy
    penalised = server.chat("Hello", max_tokens=200, frequency_penalty=2, presence_penalty=2, repeat_penalty=2, **GREEDY)
    assert penalised.text != server.chat("Hello", max_tokens=200, **GREEDY).text


def test_end_of_generation_is_respected_unless_ignored(server):
    """At a high temperature a small vocabulary draws its end token sooner or later."""
    fields = {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0, "max_tokens": 1200}
    ended = [server.chat("Hello", seed=seed, **fields) for seed in range(20)]
    stopped = [answer for answer in ended if answer.finish_reason == "stop"]
    assert stopped, "no answer of 20 ended by itself"
    assert all(answer.usage["completion_tokens"] < 1200 for answer in stopped)
    assert "<|im_end|>" not in stopped[0].text


def test_greedy_answers_do_not_depend_on_company(server):
    """Alone and in a full batch whose members join and leave at all steps: the same text.

    What llama.cpp guarantees is a little less: rows of batches of different shapes can differ in their last bits, so two
    tokens that are as good as tied may change places. With full precision weights that is rare: one answer in seventy here.
    A sequence that saw another's tokens would change every answer.
    """
    prompts = [f"{prompt} ({number})" for number in range(4) for prompt in PROMPTS]
    alone = {prompt: server.chat(prompt, max_tokens=80, **GREEDY).text for prompt in prompts}

    source = random.Random(1)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers, companions = [], []
        for number in range(60):
            companion = "companion" + " word" * source.randint(0, 200)
            fields = {"max_tokens": source.randint(1, 120), "temperature": 1, "seed": number, "ignore_eos": True}
            companions.append(pool.submit(server.chat, companion, **fields))
            prompt = prompts[number % len(prompts)]
            answers.append((prompt, pool.submit(server.chat, prompt, max_tokens=80, **GREEDY)))
        differing = [prompt for prompt, answer in answers if answer.result().text != alone[prompt]]
        for companion in companions:
            assert companion.result().finish_reason == "length"
    assert len(differing) <= 6, differing


def test_a_context_that_fills_ends_with_length(start_server, toy):
    server = start_server("--model", toy, CONTEXT_TOKENS="512", BATCH_SIZE="1", BATCH_SIZE_MAX="1")
    answer = server.chat("Hello", max_tokens=100_000, **GREEDY)
    assert answer.finish_reason == "length"
    assert answer.usage["total_tokens"] <= 512
    assert answer.usage["total_tokens"] > 500


@pytest.mark.parametrize(("arch", "quant"), [("qwen2", "q8_0"), ("llama", "q8_0"), ("qwen2", "q4_0"), ("llama", "f16")])
def test_each_kind_of_synthetic_model_runs(start_server, model_file, arch, quant):
    server = start_server("--model", f"other={model_file(3, arch, quant)}")
    answer = server.chat("Hello", model="other", max_tokens=16, **GREEDY)
    assert answer.usage["completion_tokens"] == 16


def test_kernels_of_lower_processors_are_in_the_binary(start_server, model_file):
    file = model_file(3, "qwen2", "q4_0")
    capped = start_server("--model", f"other={file}", SUTAZAI_CPU_LEVEL="x86-64-v2", LOG_LEVEL="debug", THREADS="2")
    answer = capped.chat("Hello", model="other", max_tokens=16, **GREEDY)
    assert answer.usage["completion_tokens"] == 16
    # "native": another architecture, or built for this processor alone.
    assert re.search("kernels for (x86-64-v2|native) processors", capped.log())


def test_the_generator_is_deterministic(model_file, tmp_path):
    first = model_file(5)
    again = tmp_path / "again.gguf"
    arguments = ["--arch", "llama", "--preset", "toy", "--quant", "f32", "--seed", "5", "--context", "8192", "--output", str(again)]
    assert harness.run_binary("model", "synth", *arguments, folder=tmp_path).returncode == 0
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != model_file(6).read_bytes()
