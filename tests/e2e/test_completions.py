"""/v1/completions, and log-probabilities and several choices in /v1/chat/completions, by the official client."""

import math

import openai
import pytest

import harness
from test_openai import client_of

GREEDY = {"temperature": 0, "extra_body": {"ignore_eos": True}}


@pytest.fixture
def client(server):
    with client_of(server) as one:
        yield one


def test_a_completion(client):
    answer = client.completions.create(model="toy", prompt="Once upon a time", **GREEDY)
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    choice = answer.choices[0]
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert choice.text
    assert answer.usage.completion_tokens == 16, "OpenAI's default"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16


def test_the_prompt_is_taken_as_it_is(server, client):
    chat = server.settled_chat("Hello", temperature=0, max_tokens=12, ignore_eos=True)
    rendered = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    raw = client.completions.create(model="toy", prompt=rendered, max_tokens=12, **GREEDY)
    assert raw.choices[0].text == chat.text
    assert raw.usage.prompt_tokens == chat.usage["prompt_tokens"]


def test_many_prompts_share_their_beginning(client):
    beginning = "The sea was calm and the sailor told of storms that nobody believed. " * 4
    prompts = [beginning + f"Part {i}" for i in range(6)]
    answer = client.completions.create(model="toy", prompt=prompts, max_tokens=5, **GREEDY)
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert answer.usage.completion_tokens == 30
    assert answer.usage.prompt_tokens_details.cached_tokens > 0.7 * answer.usage.prompt_tokens
    for prompt, choice in zip(prompts, answer.choices):
        alone = client.completions.create(model="toy", prompt=prompt, max_tokens=5, **GREEDY)
        assert alone.choices[0].text == choice.text


def test_token_ids(client):
    text = client.completions.create(model="toy", prompt=[72, 101, 108, 108, 111], max_tokens=4, **GREEDY)
    lists = client.completions.create(model="toy", prompt=[[72, 101], [108, 108, 111]], max_tokens=4, **GREEDY)
    assert text.usage.prompt_tokens == 5
    assert len(lists.choices) == 2
    assert lists.usage.prompt_tokens == 5
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="toy", prompt=[[72], [10**6]], max_tokens=4, **GREEDY)
    assert caught.value.param == "prompt[1]"


def test_choices_go_prompt_by_prompt(client):
    fields = {"model": "toy", "max_tokens": 8, "temperature": 1.5, "seed": 11,
              "extra_body": {"ignore_eos": True, "top_k": 0, "min_p": 0, "top_p": 1}}  # fmt: skip
    answer = client.completions.create(prompt=["One", "Two"], n=3, **fields)
    texts = [choice.text for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert len(set(texts)) == 6, "each choice has a seed of its own"
    assert client.completions.create(prompt=["One", "Two"], n=3, **fields).choices[4].text == texts[4]
    assert answer.usage.completion_tokens == 48
    single = client.completions.create(prompt=["One", "Two"], **fields)
    assert answer.usage.prompt_tokens == single.usage.prompt_tokens, "a prompt counts once"


def test_best_of(client):
    fields = {"model": "toy", "prompt": "Once", "max_tokens": 8, "temperature": 1.2, "seed": 5, "extra_body": {"ignore_eos": True}}
    all_of_them = client.completions.create(n=6, logprobs=0, **fields).choices
    best = client.completions.create(best_of=6, **fields)
    means = {choice.text: sum(choice.logprobs.token_logprobs) / 8 for choice in all_of_them}
    assert len(best.choices) == 1
    assert best.choices[0].logprobs is None
    assert best.choices[0].text == max(means, key=means.get)
    assert best.usage.completion_tokens == 48


def test_logprobs(client):
    answer = client.completions.create(model="toy", prompt="Once upon a time", max_tokens=20, logprobs=5, **GREEDY)
    choice = answer.choices[0]
    scores = choice.logprobs
    assert len(scores.tokens) == len(scores.token_logprobs) == len(scores.top_logprobs) == len(scores.text_offset) == 20
    for token, logprob, top, offset in zip(scores.tokens, scores.token_logprobs, scores.top_logprobs, scores.text_offset):
        assert logprob == max(top.values()), "greedy takes the most likely"
        assert top[token] == logprob
        assert 5 <= len(top) <= 6
        assert 0 < sum(math.exp(value) for value in top.values()) <= 1.0001
        if not token.startswith("bytes:"):
            assert choice.text[offset : offset + len(token)] == token
    if not any(token.startswith("bytes:") for token in scores.tokens):
        assert "".join(scores.tokens) == choice.text


def test_echo_gives_the_prompts_scores(client):
    """What evaluation harnesses do: the likelihood of a continuation, nothing generated."""
    free = client.completions.create(model="toy", prompt=[72, 101, 108], max_tokens=6, logprobs=1, **GREEDY)
    ids = [72, 101, 108, 110, 112, 200, 65]
    echoed = client.completions.create(model="toy", prompt=ids, max_tokens=0, echo=True, logprobs=1, **GREEDY)
    scores = echoed.choices[0].logprobs
    assert len(scores.tokens) == len(ids)
    assert scores.token_logprobs[0] is None
    assert scores.top_logprobs[0] is None
    assert all(value < 0 for value in scores.token_logprobs[1:])
    assert echoed.usage.completion_tokens == 0
    assert echoed.usage.prompt_tokens == len(ids)
    assert scores.top_logprobs[3] == pytest.approx({free.choices[0].logprobs.tokens[0]: free.choices[0].logprobs.token_logprobs[0]}
                                                   | {scores.tokens[3]: scores.token_logprobs[3]}, abs=0.02)  # fmt: skip
    one_more = client.completions.create(model="toy", prompt=ids, max_tokens=1, echo=True, logprobs=1, **GREEDY)
    assert one_more.choices[0].logprobs.token_logprobs[1:7] == pytest.approx(scores.token_logprobs[1:], abs=0.02)
    assert len(one_more.choices[0].logprobs.tokens) == len(ids) + 1


def test_echo_of_text(client):
    plain = client.completions.create(model="toy", prompt="Größe: ", max_tokens=5, **GREEDY)
    echoed = client.completions.create(model="toy", prompt="Größe: ", max_tokens=5, echo=True, **GREEDY)
    assert echoed.choices[0].text == "Größe: " + plain.choices[0].text
    only = client.completions.create(model="toy", prompt="Größe: ", max_tokens=0, echo=True, **GREEDY)
    assert only.choices[0].text == "Größe: "
    assert only.choices[0].finish_reason == "length"


def test_streams_add_up(client):
    fields = {"model": "toy", "prompt": ["One", "Two", "Three"], "max_tokens": 12, "logprobs": 2, **GREEDY}
    client.completions.create(**fields)
    whole = client.completions.create(**fields)
    chunks = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **fields))
    *others, last = chunks
    assert last.choices == []
    assert last.usage.completion_tokens == 36
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    for index in range(3):
        own = [chunk.choices[0] for chunk in others if chunk.choices[0].index == index]
        assert "".join(choice.text for choice in own) == whole.choices[index].text
        assert [choice.finish_reason for choice in own] == [None] * (len(own) - 1) + ["length"]
        tokens = [token for choice in own if choice.logprobs for token in choice.logprobs.tokens]
        offsets = [offset for choice in own if choice.logprobs for offset in choice.logprobs.text_offset]
        assert tokens == whole.choices[index].logprobs.tokens
        assert offsets == whole.choices[index].logprobs.text_offset


def test_stop_and_seed(client):
    full = client.completions.create(model="toy", prompt="Once", max_tokens=60, **GREEDY).choices[0].text
    stop = full[len(full) // 2 : len(full) // 2 + 3]
    cut = client.completions.create(model="toy", prompt="Once", max_tokens=60, stop=stop, **GREEDY).choices[0]
    assert cut.text == full[: full.index(stop)]
    assert cut.finish_reason == "stop"


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"suffix": "end"}, "suffix"),
        ({"logprobs": 6}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 2, "best_of": 1}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a"] * 600, "n": 2}, "prompt"),
        ({"prompt": ["a", "word " * 20_000]}, "prompt[1]"),
    ],
)
def test_what_is_wrong_is_named(client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**({"model": "toy", "prompt": "Hello"} | fields))
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_chat_logprobs(client):
    answer = client.chat.completions.create(
        model="toy", messages=harness.user("Hello"), max_tokens=12, logprobs=True, top_logprobs=3, **GREEDY
    )
    content = answer.choices[0].logprobs.content
    assert len(content) == 12
    assert b"".join(bytes(entry.bytes) for entry in content).decode(errors="replace") == answer.choices[0].message.content
    for entry in content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == entry.logprob, "greedy takes the most likely"
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob >= entry.top_logprobs[2].logprob
    without = client.chat.completions.create(model="toy", messages=harness.user("Hello"), max_tokens=3, **GREEDY)
    assert without.choices[0].logprobs is None


def test_logprobs_do_not_depend_on_sampling(client):
    """They are those of the model, whatever temperature and penalties make of them."""
    fields = {"model": "toy", "messages": harness.user("Hello"), "max_tokens": 1, "logprobs": True, "top_logprobs": 5}
    first = client.chat.completions.create(**fields, temperature=0).choices[0].logprobs.content[0]
    other = client.chat.completions.create(**fields, temperature=1.9, presence_penalty=2, seed=1).choices[0].logprobs.content[0]
    assert [top.token for top in other.top_logprobs] == [top.token for top in first.top_logprobs]
    assert [top.logprob for top in other.top_logprobs] == pytest.approx([top.logprob for top in first.top_logprobs], abs=0.02)


def test_chat_choices(client):
    fields = {"model": "toy", "messages": harness.user("Hello"), "max_tokens": 10, "temperature": 1.5, "seed": 3,
              "extra_body": {"ignore_eos": True, "top_k": 0, "min_p": 0, "top_p": 1}}  # fmt: skip
    answer = client.chat.completions.create(n=4, **fields)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    texts = [choice.message.content for choice in answer.choices]
    assert len(set(texts)) == 4
    assert answer.usage.completion_tokens == 40
    chunks = list(client.chat.completions.create(n=4, stream=True, logprobs=True, stream_options={"include_usage": True}, **fields))
    assert chunks[-1].usage.completion_tokens == 40
    assert chunks[-1].usage.prompt_tokens == answer.usage.prompt_tokens
    for index in range(4):
        own = [chunk.choices[0] for chunk in chunks[:-1] if chunk.choices[0].index == index]
        assert own[0].delta.role == "assistant"
        assert "".join(choice.delta.content or "" for choice in own) == texts[index]
        assert sum(len(choice.logprobs.content) for choice in own if choice.logprobs) == 10
        assert own[-1].finish_reason == "length"


@pytest.mark.parametrize("fields, param", [({"n": 0}, "n"), ({"n": 129}, "n"), ({"top_logprobs": 2}, "top_logprobs"),
                                           ({"logprobs": True, "top_logprobs": 21}, "top_logprobs")])  # fmt: skip
def test_wrong_chat_fields_are_named(client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="toy", messages=harness.user("Hello"), **fields)
    assert caught.value.param == param
