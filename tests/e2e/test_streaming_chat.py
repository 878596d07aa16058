"""POST /api/v1/streaming/chat/stream: the events, their order and their shapes."""

import datetime
import re

import pytest

import harness

GREEDY = {"temperature": 0, "max_tokens": 24, "ignore_eos": True}


def check_timestamp(text: str) -> None:
    """UTC, ISO 8601, and about now."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text), text
    moment = datetime.datetime.fromisoformat(text)
    age = datetime.datetime.now(datetime.timezone.utc) - moment
    assert abs(age.total_seconds()) < 120


def test_events_follow_the_specification(server):
    with server.stream("Explain advanced computing", model="toy", stream=True, **GREEDY) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] == "text/event-stream"
        assert "no-cache" in response.headers["cache-control"]
        events = harness.parse_sse(response.iter_raw())

    start, *chunks, complete = events
    assert start.keys() == {"type", "model", "timestamp"}
    assert (start["type"], start["model"]) == ("start", "toy")
    check_timestamp(start["timestamp"])

    assert chunks, "no chunk"
    for chunk in chunks:
        assert chunk.keys() == {"type", "content", "is_final"}
        assert chunk["type"] == "chunk"
        assert isinstance(chunk["content"], str)
    assert [chunk["is_final"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]

    assert complete["type"] == "complete"
    check_timestamp(complete["timestamp"])
    assert complete["timestamp"] >= start["timestamp"]
    assert complete["finish_reason"] == "length"
    usage = complete["usage"]
    assert usage["completion_tokens"] == 24
    assert usage["prompt_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_bytes_are_those_of_the_specification(server):
    with server.stream("Hello", model="toy", **GREEDY) as response:
        body = response.read().decode()
    assert re.match(r'data: \{"type": "start", "model": "toy", "timestamp": "[^"]+"\}\n\n', body)
    assert re.search(r'\ndata: \{"type": "chunk", "content": "(?:[^"\\]|\\.)*", "is_final": (true|false)\}\n\n', body)
    assert re.search(r'\ndata: \{"type": "complete", "timestamp": "[^"]+", [^\n]*\}\n\n$', body)


def test_text_arrives_while_it_is_written(server):
    """The first chunk comes before the answer is whole: it is not collected and sent at the end."""
    with server.stream("Count", temperature=0, max_tokens=400, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        assert next(events)["type"] == "start"
        assert next(events)["type"] == "chunk"
        rest = list(events)
    assert sum(event["type"] == "chunk" for event in rest) > 20


def test_without_a_stream_there_is_one_object(server):
    streamed = server.settled_chat("Same question", **GREEDY)
    response = server.post(harness.STREAM_PATH, {"messages": harness.user("Same question"), "stream": False, **GREEDY})
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body = response.json()
    assert body["model"] == "toy"
    assert body["content"] == streamed.text
    assert body["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == streamed.usage["completion_tokens"] == 24
    check_timestamp(body["timestamp"])


def test_the_model_may_be_left_out(server):
    with server.stream("Hello", **GREEDY) as response:
        assert harness.parse_sse(response.iter_raw())[0]["model"] == "toy"


def test_all_roles_count(server):
    question = {"role": "user", "content": "Hello"}
    alone = server.chat([question], **GREEDY)
    with_system = server.chat([{"role": "system", "content": "Be short."}, question], **GREEDY)
    with_history = server.chat([question, {"role": "assistant", "content": "Hi."}, question], **GREEDY)
    assert alone.usage["prompt_tokens"] < with_system.usage["prompt_tokens"]
    assert alone.usage["prompt_tokens"] < with_history.usage["prompt_tokens"]
    assert len({alone.text, with_system.text, with_history.text}) == 3


@pytest.mark.parametrize("content", ["", "äöü 你好 🙂 \u0000 \u2028", "<|im_end|> {{ messages }} {% raw %}", "a " * 300])
def test_any_text_is_taken(server, content):
    assert server.chat(content, **GREEDY).usage["completion_tokens"] == 24


def test_a_prompt_larger_than_the_context_is_refused_with_the_numbers(server):
    response = server.post(harness.STREAM_PATH, {"messages": harness.user("word " * 200_000), "max_tokens": 4})
    if response.status_code == 200:  # the refusal may come after the stream has begun
        error = harness.parse_sse([response.content])[-1]
        assert (error["type"], error["code"]) == ("error", "context_length_exceeded")
        message = error["error"]
    else:
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"
        message = response.json()["error"]["message"]
    assert len(re.findall(r"\d+", message)) >= 2, message
    assert server.chat("Hello", **GREEDY).text
