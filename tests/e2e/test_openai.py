"""The OpenAI routes, spoken to by the official client."""

import openai
import pytest

import harness

GREEDY = {"temperature": 0, "max_tokens": 24, "extra_body": {"ignore_eos": True}}


def client_of(server, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=60 * harness.SLOWDOWN)


@pytest.fixture
def client(server):
    with client_of(server) as one:
        yield one


def test_a_completion(client):
    answer = client.chat.completions.create(model="toy", messages=harness.user("Hello"), **GREEDY)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "toy"
    assert answer.created > 1_700_000_000
    choice = answer.choices[0]
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "length", "assistant")
    assert choice.message.content
    assert answer.usage.completion_tokens == 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 24
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


def test_a_stream_adds_up_to_the_completion(client):
    client.chat.completions.create(model="toy", messages=harness.user("Hello"), **GREEDY)
    whole = client.chat.completions.create(model="toy", messages=harness.user("Hello"), **GREEDY)
    chunks = list(client.chat.completions.create(model="toy", messages=harness.user("Hello"), stream=True, **GREEDY))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["length"]
    assert all(chunk.usage is None for chunk in chunks), "usage was not asked for"


def test_usage_comes_last_when_asked_for(client):
    chunks = list(
        client.chat.completions.create(
            model="toy", messages=harness.user("Hello"), stream=True, stream_options={"include_usage": True}, **GREEDY
        )
    )
    *others, last = chunks
    assert last.choices == []
    assert last.usage.completion_tokens == 24
    assert all(chunk.usage is None for chunk in others)


def test_the_stream_ends_with_done(server):
    body = {"model": "toy", "messages": harness.user("Hello"), "stream": True, "max_tokens": 4}
    with server.client.stream("POST", server.url + harness.COMPLETIONS_PATH, json=body) as response:
        assert response.headers["content-type"].split(";")[0] == "text/event-stream"
        events = harness.parse_sse(response.iter_raw())
    assert events[-1] == "[DONE]"
    assert "[DONE]" not in events[:-1]


def test_both_families_write_the_same_text(server, client):
    ours = server.settled_chat("Same question", temperature=0, max_tokens=24, ignore_eos=True)
    theirs = client.chat.completions.create(model="toy", messages=harness.user("Same question"), **GREEDY)
    assert theirs.choices[0].message.content == ours.text


def test_newer_names_are_understood(client):
    answer = client.chat.completions.create(
        model="toy",
        messages=[{"role": "developer", "content": "Be short."}, *harness.user([{"type": "text", "text": "Hello"}])],
        temperature=0,
        max_completion_tokens=7,
        extra_body={"ignore_eos": True},
    )
    assert answer.usage.completion_tokens == 7


def test_models(client):
    assert "toy" in [model.id for model in client.models.list()]
    assert client.models.list().data[0].object == "model"


def test_an_unknown_model_is_a_not_found_error(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=harness.user("Hello"))
    assert "no-such-model" in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_value_is_a_bad_request_error(client, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="toy", messages=harness.user("Hello"), temperature=3, stream=stream)
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"


def test_keys(start_server, toy):
    server = start_server("--model", toy, API_KEYS="first-key,second-key")
    for key in ("first-key", "second-key"):
        with client_of(server, key) as client:
            assert "toy" in [model.id for model in client.models.list()]
            assert client.chat.completions.create(model="toy", messages=harness.user("Hello"), max_tokens=2).choices
    with client_of(server, "wrong-key") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="toy", messages=harness.user("Hello"))
    assert caught.value.code == "invalid_api_key"
    assert "wrong-key" not in server.log()
    assert "first-key" not in server.log()
