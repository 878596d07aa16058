"""OpenAI's Responses API: to the byte with models that say what they are told to, and spoken to by the official client."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import sqlite3
import stat

import openai
import pydantic
import pytest

import harness
import scripted
from harness import SLOWDOWN, wait_until
from test_openai import client_of
from test_tools import CASES, NOTE, ROME, TOOLS, call

PATH = "/v1/responses"
FLAT = [{"type": "function", **tool["function"]} for tool in TOOLS]
#: Beside those of test_tools.py: answers that are cut off or no good calls, and one without end.
MORE = {
    "chatml": {
        "again": "And it stays so.",
        "broken": '<tool_call>\n{"name": "weather", "arguments": {"city": \n</tool_call>',
        "person": '{"name": "Ada", "age": 36}',
    }
}
ALL = [(dialect, key) for dialect, cases in CASES.items() for key in cases]


def item(prefix: str, response: dict, index: int) -> str:
    return f"{prefix}_{response['id'].removeprefix('resp_')}{0x8000 + index:04x}"


def output_of(dialect: str, key: str, response: dict, call_ids: list[str]) -> list[dict]:
    """The items that a whole answer must have."""
    _, content, reasoning, calls = CASES[dialect][key]
    out: list[dict] = []
    if reasoning:
        out.append({"id": item("rs", response, len(out)), "type": "reasoning", "summary": [],
                    "content": [{"type": "reasoning_text", "text": reasoning}], "status": "completed"})  # fmt: skip
    if content:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
        out.append({"id": item("msg", response, len(out)), "type": "message", "status": "completed", "content": [part],
                    "role": "assistant"})  # fmt: skip
    for call_id, (name, arguments) in zip(call_ids, calls, strict=True):
        out.append({"id": item("fc", response, len(out)), "type": "function_call", "status": "completed",
                    "arguments": arguments, "call_id": call_id, "name": name})  # fmt: skip
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, pathlib.Path]:
    folder = tmp_path_factory.mktemp("scripted")
    made = {}
    for dialect, cases in CASES.items():
        texts = {key: case[0] for key, case in cases.items()} | MORE.get(dialect, {})
        scripts = scripted.in_pieces(texts)
        if dialect == "chatml":
            scripts["endless"] = ["All of ", "it and", " more", {"back": 2}]
        if dialect == "think":
            scripts["ponder"] = ["<think>\n!", " again", " and more", {"back": 2}]
        made[dialect] = scripted.make(folder, dialect, scripts)
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory, files):
    arguments = [part for dialect, path in files.items() for part in ("--model", f"{dialect}={path}")]
    folder = tmp_path_factory.mktemp("responses")
    with harness.running(folder, *arguments, MODEL_CACHE_SIZE="5", CONTEXT_TOKENS="8192") as server:
        yield server


@pytest.fixture
def client(served):
    with client_of(served) as one:
        yield one


def ask(server, key: str, **fields) -> dict:
    body = {"model": "chatml", "input": f"Please #{key}", "temperature": 0, **fields}
    answer = server.post(PATH, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events_of(server, body: dict, method: str = "POST", path: str = PATH) -> list[dict]:
    """The events of a stream, each named as its data says."""
    out = []
    with server.client.stream(method, server.url + path, json=body or None) as response:
        text = response.read().decode()
        assert response.status_code == 200, text
        assert response.headers["content-type"] == "text/event-stream"
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        out.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {out[-1]['type']}"
    return out


def found(server, identifier: str, **headers) -> dict:
    answer = server.client.get(f"{server.url}{PATH}/{identifier}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("dialect,key", ALL)
def test_answers(served, dialect, key):
    response = ask(served, key, model=dialect, tools=FLAT)
    ids = [one["call_id"] for one in response["output"] if one["type"] == "function_call"]
    assert response["output"] == output_of(dialect, key, response, ids)
    assert (response["status"], response["object"], response["store"]) == ("completed", "response", True)
    assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] + response["usage"]["output_tokens"]
    thinks = bool(CASES[dialect][key][2])
    assert (response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0) == thinks
    assert found(served, response["id"]) == response


@pytest.mark.parametrize("dialect,key", ALL)
def test_streams(served, dialect, key):
    """Event by event: the order, the numbers, and that the pieces add up."""
    body = {"model": dialect, "input": f"Please #{key}", "tools": FLAT, "temperature": 0, "stream": True}
    events = events_of(served, body)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    first, last = events[0]["response"], events[-1]["response"]
    ids = [one["call_id"] for one in last["output"] if one["type"] == "function_call"]
    output = output_of(dialect, key, last, ids)
    assert last["output"] == output

    expected: list[dict] = [{"type": "response.created", "response": first},
                            {"type": "response.in_progress", "response": first}]  # fmt: skip
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    at = 2
    for index, one in enumerate(output):
        place = {"item_id": one["id"], "output_index": index}
        begun = {**one, "status": "in_progress"} | ({"arguments": ""} if "arguments" in one else {"content": []})
        expected.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        if one["type"] == "function_call":
            kind, text, more = "function_call_arguments", one["arguments"], {}
        else:
            kind = "reasoning_text" if one["type"] == "reasoning" else "output_text"
            part = one["content"][0]
            text, more = part["text"], {} if one["type"] == "reasoning" else {"logprobs": []}
            place["content_index"] = 0
            expected.append({"type": "response.content_part.added", **place, "part": {**part, "text": ""}})
        told = ""
        at = len(expected)
        while at < len(events) and events[at]["type"] == f"response.{kind}.delta":
            told += events[at]["delta"]
            expected.append({"type": f"response.{kind}.delta", **place, "delta": events[at]["delta"], **more})
            at += 1
        assert told == text
        if one["type"] == "function_call":
            expected.append({"type": f"response.{kind}.done", **place, "arguments": text, "name": one["name"]})
        else:
            expected.append({"type": f"response.{kind}.done", **place, "text": text, **more})
            expected.append({"type": "response.content_part.done", **place, "part": one["content"][0]})
        expected.append({"type": "response.output_item.done", "output_index": index, "item": one})
    expected.append({"type": "response.completed", "response": last})
    assert events == [{**event, "sequence_number": number} for number, event in enumerate(expected)]
    assert found(served, last["id"]) == last


def test_the_bytes_of_a_stream(served):
    body = {"model": "chatml", "input": "Please #plain", "temperature": 0, "stream": True, "max_output_tokens": 1}
    raw = served.post(PATH, body).text
    response = json.loads(raw.splitlines()[1].removeprefix("data: "))["response"]
    place = f'"item_id":"{item("msg", response, 0)}","output_index":0,"content_index":0'
    deltas = re.findall(r'event: response\.output_text\.delta\ndata: (.*)\n\n', raw)
    assert deltas == ['{"type":"response.output_text.delta","sequence_number":4,' + place + ',"delta":"It ","logprobs":[]}']
    assert raw.endswith("\n\n") and "[DONE]" not in raw
    last = json.loads(raw.splitlines()[-2].removeprefix("data: "))
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"
    assert found(served, response["id"])["status"] == "incomplete"


@pytest.mark.parametrize("dialect,key,kind", [("chatml", "endless", "message"), ("think", "ponder", "reasoning")])
def test_what_is_cut_off_says_so(served, dialect, key, kind):
    response = ask(served, key, model=dialect, max_output_tokens=9)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [(one["type"], one["status"]) for one in response["output"]] == [(kind, "incomplete")]
    assert response["completed_at"] is None


def test_a_call_that_is_cut_off_or_malformed(served):
    """Without tools it is text. With them a call is held to its schema from where it begins; what is cut off says so."""
    response = ask(served, "broken")
    assert [one["type"] for one in response["output"]] == ["message"]
    assert response["output"][0]["content"][0]["text"] == MORE["chatml"]["broken"]
    response = ask(served, "broken", tools=FLAT, max_output_tokens=40)
    assert response["output"][0]["type"] == "function_call"
    assert response["output"][0]["arguments"].startswith('{"city"')
    cut = ask(served, "one", tools=FLAT, max_output_tokens=14)
    assert [(one["type"], one["status"]) for one in cut["output"]] == [("function_call", "incomplete")]
    assert ROME.startswith(cut["output"][0]["arguments"]) and cut["output"][0]["arguments"] != ROME


@pytest.mark.parametrize("choice", [
    {"type": "function", "name": "note"},
    {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "note"}]},
])  # fmt: skip
def test_a_demanded_call_is_well_formed(served, choice):
    """The model would say something else; at a high temperature all that the grammar allows is drawn."""
    for seed in range(3):
        response = ask(served, "plain", tools=FLAT, tool_choice=choice, temperature=2, seed=seed, top_k=0, top_p=1,
                       min_p=0, max_output_tokens=3000, parallel_tool_calls=False)  # fmt: skip
        assert response["tool_choice"] == choice and len(response["tools"]) == 2
        if response["status"] == "incomplete":
            continue  # endless white space or text
        called = response["output"][-1]
        assert (called["type"], called["name"]) == ("function_call", "note")
        arguments = json.loads(called["arguments"])
        assert list(arguments) == ["text"] and isinstance(arguments["text"], str)


def test_the_official_client(client):
    made = client.responses.create(model="chatml", input="Please #plain", instructions="Be kind.", temperature=0,
                                   metadata={"a": "b"}, user="me", truncation="auto")  # fmt: skip
    assert made.output_text == "It is warm."
    assert (made.instructions, made.metadata, made.user, made.truncation) == ("Be kind.", {"a": "b"}, "me", "auto")
    assert client.responses.retrieve(made.id) == made
    listed = client.responses.input_items.list(made.id, order="asc")
    assert [part.text for one in listed for part in one.content] == ["Please #plain"]
    count = client.responses.input_tokens.count(model="chatml", input="Please #plain", instructions="Be kind.")
    assert count.input_tokens == made.usage.input_tokens
    client.responses.delete(made.id)
    for gone in (lambda: client.responses.retrieve(made.id), lambda: client.responses.delete(made.id),
                 lambda: client.responses.cancel(made.id), lambda: client.responses.input_items.list(made.id),
                 lambda: client.responses.retrieve("resp_none")):  # fmt: skip
        with pytest.raises(openai.NotFoundError):
            gone()


def test_the_official_clients_stream(client):
    with client.responses.stream(model="think", input="Please #both", tools=FLAT, temperature=0) as stream:
        arguments = "".join(e.delta for e in stream if e.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()
    assert arguments == ROME == final.output[-1].arguments
    assert final.output[0].content[0].text == "I ask."


def test_the_official_client_parses(client):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    parsed = client.responses.parse(model="chatml", input="Please #person", text_format=Person, temperature=0)
    assert parsed.output_parsed == Person(name="Ada", age=36)
    assert parsed.text.format.type == "json_schema"
    any_object = client.responses.create(model="chatml", input="Please #person", temperature=0,
                                         text={"format": {"type": "json_object"}})  # fmt: skip
    assert json.loads(any_object.output_text) == {"name": "Ada", "age": 36}


def test_logprobs(client):
    made = client.responses.create(model="chatml", input="Please #plain", temperature=0, top_logprobs=2,
                                   include=["message.output_text.logprobs"])  # fmt: skip
    scores = made.output[0].content[0].logprobs
    assert "".join(score.token for score in scores) == "It is warm."
    assert all(len(score.top_logprobs) == 2 for score in scores)
    streamed = client.responses.create(model="chatml", input="Please #plain", temperature=0, top_logprobs=2,
                                       include=["message.output_text.logprobs"], stream=True)  # fmt: skip
    told = [score.token for event in streamed if event.type == "response.output_text.delta" for score in event.logprobs]
    assert "".join(told) == "It is warm."


def test_a_tool_loop_over_what_is_stored(client, served):
    first = client.responses.create(model="chatml", input="Please #two", tools=FLAT, temperature=0)
    calls = [one for one in first.output if one.type == "function_call"]
    assert [(one.name, one.arguments) for one in calls] == [("weather", ROME), ("note", NOTE)]
    results = [{"type": "function_call_output", "call_id": one.call_id, "output": "fine"} for one in calls]
    with pytest.raises(openai.BadRequestError, match="call_id"):
        client.responses.create(model="chatml", input=results, tools=FLAT)
    results.append({"role": "user", "content": "Please #again"})
    second = client.responses.create(model="chatml", previous_response_id=first.id, input=results, tools=FLAT,
                                     temperature=0)  # fmt: skip
    assert second.output_text == "And it stays so."
    kinds = [one.type for one in client.responses.input_items.list(second.id, order="asc")]
    assert kinds == ["message", "function_call", "function_call", "function_call_output", "function_call_output",
                     "message"]  # fmt: skip
    # The same without the store, and by reference: one prompt.
    whole = [{"role": "user", "content": "Please #two"}, *[one.to_dict() for one in first.output], *results]
    stateless = client.responses.create(model="chatml", input=whole, tools=FLAT, temperature=0, store=False)
    assert stateless.output_text == second.output_text
    assert stateless.usage.input_tokens == second.usage.input_tokens
    referred = [{"role": "user", "content": "Please #two"}, *[{"type": "item_reference", "id": one.id}
                                                             for one in first.output], *results]  # fmt: skip
    by_name = client.responses.create(model="chatml", input=referred, tools=FLAT, temperature=0)
    assert by_name.usage.input_tokens == second.usage.input_tokens
    with pytest.raises(openai.NotFoundError, match="no stored item"):
        client.responses.create(model="chatml", input=[{"type": "item_reference", "id": "msg_nowhere"}])


def test_thoughts_are_carried_without_a_store(client):
    first = client.responses.create(model="think", input="Please #thought", temperature=0, store=False,
                                    include=["reasoning.encrypted_content"])  # fmt: skip
    thought = first.output[0]
    assert thought.encrypted_content and thought.content[0].text == "Hm, <b> so."
    carried = {"type": "reasoning", "id": thought.id, "summary": [], "encrypted_content": thought.encrypted_content}
    told = [{"role": "user", "content": "Please #thought"}, first.output[1].to_dict()]
    ends = [{"role": "user", "content": "Please #plain"}]
    counts = [client.responses.input_tokens.count(model="think", input=items).input_tokens
              for items in ([told[0], carried, told[1], *ends], [told[0], thought.to_dict(), told[1], *ends])]  # fmt: skip
    assert counts[0] == counts[1]


def test_instructions_are_of_one_response(client):
    first = client.responses.create(model="chatml", input="Please #plain", instructions="word " * 50, temperature=0)
    second = client.responses.create(model="chatml", input="Please #again", previous_response_id=first.id, temperature=0)
    assert second.instructions is None
    assert second.usage.input_tokens < first.usage.input_tokens


def test_a_conversation_is_shared(start_server, toy):
    """What was read and said before is not computed again."""
    server = start_server("--model", toy)
    client = client_of(server)
    previous, read = None, 0
    for turn in range(4):
        made = client.responses.create(model="toy", input=f"Turn {turn}: " + "some more words " * 20, temperature=0,
                                       max_output_tokens=16, previous_response_id=previous)  # fmt: skip
        assert made.usage.input_tokens_details.cached_tokens >= read - 1, turn
        previous, read = made.id, made.usage.input_tokens
    kept = client.responses.input_items.list(previous, limit=3, order="asc")
    assert len(list(kept)) == 7, "all pages"


def test_nothing_is_kept_of_what_is_not_stored(client, served):
    made = client.responses.create(model="chatml", input="Please #plain", store=False, temperature=0)
    assert made.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError) as thrown:
        client.responses.create(model="chatml", input="x", previous_response_id=made.id)
    assert thrown.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.create(model="chatml", input="x", store=False, background=True)


def test_a_deleted_response_breaks_the_conversation(client):
    first = client.responses.create(model="chatml", input="Please #plain", temperature=0)
    second = client.responses.create(model="chatml", input="Please #plain", previous_response_id=first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="not there any more"):
        client.responses.create(model="chatml", input="x", previous_response_id=second.id)
    assert [one.role for one in client.responses.input_items.list(second.id)] == ["user"]


@pytest.mark.parametrize("body,field", [
    ({}, "input"),
    ({"input": "x", "conversation": "c"}, "conversation"),
    ({"input": "x", "prompt": {"id": "p"}}, "prompt"),
    ({"input": "x", "max_tool_calls": 1}, "max_tool_calls"),
    ({"input": "x", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"input": "x", "tools": [{"type": "custom", "name": "c"}]}, "tools[0].type"),
    ({"input": "x", "text": {"verbosity": "high"}}, "text.verbosity"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
     "input[0].content[0].image_url"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type"),
    ({"input": "x", "surprise": 1}, "surprise"),
])  # fmt: skip
def test_refusals(served, body, field):
    answer = served.post(PATH, {"model": "chatml", **body})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == (field, "invalid_request_error")


def test_queries_and_paths(served):
    made = ask(served, "plain")
    url = f"{served.url}{PATH}/{made['id']}"
    for query, field in [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order")]:
        answer = served.client.get(f"{url}/input_items?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert served.client.get(f"{url}/input_items?after=msg_x").status_code == 404
    assert served.client.get(f"{url}/nothing").status_code == 404
    assert served.client.post(f"{url}/nothing", json={}).status_code == 404
    assert served.client.get(f"{url}?stream=true").status_code == 400
    assert served.client.post(f"{url}/cancel").status_code == 400
    assert served.client.put(url, json={}).status_code == 405


def test_a_client_that_leaves_is_noted(served):
    body = {"model": "chatml", "input": "Please #endless", "stream": True}
    with served.client.stream("POST", served.url + PATH, json=body) as response:
        lines = response.iter_lines()
        identifier = json.loads(next(line for line in lines if line.startswith("data:"))[6:])["response"]["id"]
        next(line for line in lines if "output_text.delta" in line)
        assert found(served, identifier)["status"] == "in_progress"
        refused = served.post(PATH, {"model": "chatml", "input": "x", "previous_response_id": identifier})
        assert refused.status_code == 400 and "has not ended" in refused.text
    wait_until("it is cancelled", lambda: found(served, identifier)["status"] == "cancelled", 10)
    assert found(served, identifier)["output"][0]["content"][0]["text"].startswith("All of it and")


def test_an_engine_that_dies_makes_it_fail(start_server, files):
    server = start_server("--model", f"chatml={files['chatml']}")
    with server.client.stream("POST", server.url + PATH,
                              json={"input": "Please #endless", "stream": True}) as response:  # fmt: skip
        lines = response.iter_lines()
        next(line for line in lines if "output_text.delta" in line)
        os.kill(server.only_engine(), signal.SIGKILL)
        events = [json.loads(line[6:]) for line in lines if line.startswith("data:")]
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    failed = events[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert events[-2]["code"] == "engine_died"
    assert found(server, failed["id"]) == failed


def test_keys_see_their_own_alone(start_server, files):
    server = start_server("--model", f"chatml={files['chatml']}", API_KEYS="one-key,other-key", ADMIN_API_KEYS="boss")
    one, other, boss = (client_of(server, key) for key in ("one-key", "other-key", "boss"))
    made = one.responses.create(model="chatml", input="Please #plain", temperature=0)
    behind = one.responses.create(model="chatml", input="Please #endless", background=True, stream=True)
    identifier = next(iter(behind)).response.id
    for stranger in (other, boss):
        for name in (made.id, identifier):
            for reach in (lambda: stranger.responses.retrieve(name), lambda: stranger.responses.delete(name),
                          lambda: stranger.responses.cancel(name), lambda: stranger.responses.input_items.list(name),
                          lambda: stranger.responses.retrieve(name, stream=True),
                          lambda: stranger.responses.create(model="chatml", input="x", previous_response_id=name),
                          lambda: stranger.responses.create(model="chatml", input=[
                              {"type": "item_reference", "id": made.output[0].id}])):  # fmt: skip
                with pytest.raises(openai.NotFoundError):
                    reach()
    assert one.responses.retrieve(made.id) == made
    assert one.responses.cancel(identifier).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="priority"):
        one.responses.create(model="chatml", input="x", background=True, extra_body={"priority": -5})


def test_what_is_stored_is_private(start_server, files):
    server = start_server("--model", f"chatml={files['chatml']}", LOG_LEVEL="trace")
    made = ask(server, "plain", input="A secret word, #plain", metadata={"hidden": "matter"})
    for path in (server.folder / "home").glob("responses*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert "secret word" not in server.log() and "matter" not in server.log()
    server.client.delete(f"{server.url}{PATH}/{made['id']}")
    with sqlite3.connect(server.folder / "home" / "responses.sqlite") as database:
        assert database.execute("SELECT count(*) FROM responses").fetchone() == (0,)


def test_a_background_response(client):
    made = client.responses.create(model="chatml", input="Please #plain", background=True, temperature=0)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    wait_until("it ends", lambda: client.responses.retrieve(made.id).status == "completed", 20)
    done = client.responses.retrieve(made.id)
    assert done.output_text == "It is warm." and done.completed_at
    assert client.responses.cancel(made.id) == done, "there is nothing to cancel any more"
    second = client.responses.create(model="chatml", input="Please #again", previous_response_id=made.id, temperature=0)
    assert second.output_text == "And it stays so."
    with pytest.raises(openai.BadRequestError, match="stream"):
        client.responses.retrieve(made.id, stream=True)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.responses.create(model="nobody", input="x", background=True)


def test_a_background_stream_is_joined_again(served, client):
    body = {"model": "think", "input": "Please #all", "tools": FLAT, "temperature": 0, "stream": True,
            "background": True}  # fmt: skip
    events = events_of(served, body)
    assert [event["type"] for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    identifier = events[0]["response"]["id"]
    last = events[-1]["response"]
    assert last["output"] == output_of("think", "all", last, [last["output"][-1]["call_id"]])
    for after in (None, 0, 7, len(events) - 2, len(events) - 1, 10_000):
        query = "?stream=true" + (f"&starting_after={after}" if after is not None else "")
        if after is not None and after >= len(events) - 1:
            with served.client.stream("GET", f"{served.url}{PATH}/{identifier}{query}") as response:
                assert response.read() == b""
            continue
        again = events_of(served, {}, "GET", f"{PATH}/{identifier}{query}")
        assert again == events[0 if after is None else after + 1 :]


def test_a_background_response_goes_on_without_its_client(served, client):
    body = {"model": "chatml", "input": "Please #endless", "background": True, "stream": True}
    with served.client.stream("POST", served.url + PATH, json=body) as response:
        lines = response.iter_lines()
        identifier = json.loads(next(line for line in lines if line.startswith("data:"))[6:])["response"]["id"]
        seen = json.loads(next(line for line in lines if "output_text.delta" in line and line.startswith("data:"))[6:])
    assert client.responses.retrieve(identifier).status == "in_progress"
    events = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        def follow():
            stream = client.responses.retrieve(identifier, stream=True, starting_after=seen["sequence_number"])
            for event in stream:
                events.append(event)
        following = pool.submit(follow)
        wait_until("it goes on", lambda: len(events) > 3, 20)
        cancelled = client.responses.cancel(identifier)
        following.result(20 * SLOWDOWN)
    assert cancelled.status == "cancelled"
    assert events[0].sequence_number == seen["sequence_number"] + 1
    assert (events[-1].type, events[-1].response.status) == ("response.failed", "cancelled")
    assert client.responses.retrieve(identifier) == cancelled == client.responses.cancel(identifier)
    assert cancelled.output[0].content[0].text.startswith("All of it and")


def test_an_open_background_response_may_be_deleted(client, served):
    made = client.responses.create(model="chatml", input="Please #endless", background=True)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    wait_until("its engine is free", lambda: all(
        model["requests_running"] == 0 for model in served.client.get(
            served.url + "/api/v1/streaming/performance/metrics").json()["performance_stats"].values()), 10)  # fmt: skip


def test_there_is_an_end_to_background_responses(start_server, files):
    server = start_server("--model", f"chatml={files['chatml']}", BATCH_SIZE="1", MAX_BACKGROUND_RESPONSES="3")
    client = client_of(server)
    made = [client.responses.create(model="chatml", input="Please #endless", background=True) for _ in range(3)]
    with pytest.raises(openai.RateLimitError, match="MAX_BACKGROUND_RESPONSES"):
        client.responses.create(model="chatml", input="Please #endless", background=True)
    wait_until("one runs", lambda: client.responses.retrieve(made[0].id).status == "in_progress", 20)
    assert client.responses.retrieve(made[1].id).status == "queued"
    assert client.responses.cancel(made[1].id).status == "cancelled", "while it waits"
    client.responses.cancel(made[0].id)
    wait_until("the next runs", lambda: client.responses.retrieve(made[2].id).status == "in_progress", 20)
    client.responses.cancel(made[2].id)


def test_background_responses_survive_kill_9(tmp_path, files):
    """Each begins again; a stream of one is joined with the server that comes next."""
    model = ("--model", f"chatml={files['chatml']}")
    settings = {"BATCH_SIZE": "2"}
    first = harness.Server(tmp_path, *model, environment=settings)
    try:
        first.wait_for_ready()
        client = client_of(first)
        done = client.responses.create(model="chatml", input="Please #plain", temperature=0)
        endless = client.responses.create(model="chatml", input="Please #endless", background=True, max_output_tokens=4000,
                                          stream=True)  # fmt: skip
        running = next(iter(endless)).response.id
        waiting = [client.responses.create(model="chatml", input="Please #plain", previous_response_id=done.id,
                                           background=True, temperature=0).id for _ in range(5)]  # fmt: skip
        with first.client.stream("POST", first.url + PATH,
                                 json={"input": "Please #endless", "stream": True}) as response:  # fmt: skip
            lines = response.iter_lines()  # which closes the connection when it goes
            line = next(line for line in lines if line.startswith("data:"))
            interrupted = json.loads(line[6:])["response"]["id"]
            os.kill(first.pid, signal.SIGKILL)
            first.process.wait()
    finally:
        first.kill()
    second = harness.Server(tmp_path, *model, environment=settings)
    try:
        second.wait_for_ready()
        client = client_of(second)
        assert client.responses.retrieve(done.id) == done
        assert client.responses.retrieve(interrupted).status == "failed"
        assert client.responses.retrieve(interrupted).error.code == "server_error"
        for identifier in waiting:
            wait_until("it ends", lambda: client.responses.retrieve(identifier).status == "completed", 60)
            assert client.responses.retrieve(identifier).output_text == "It is warm."
        events = list(client.responses.retrieve(running, stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.incomplete"
        assert client.responses.retrieve(running).usage.output_tokens == 4000
        second.stop()
    finally:
        second.kill()


def test_a_drain_leaves_the_rest_to_the_next_server(tmp_path, files):
    model = ("--model", f"chatml={files['chatml']}")
    with harness.running(tmp_path, *model, DRAIN_TIMEOUT_S="1") as server:
        client = client_of(server)
        endless = client.responses.create(model="chatml", input="Please #endless", background=True)
        wait_until("it runs", lambda: client.responses.retrieve(endless.id).status == "in_progress", 20)
    with harness.running(tmp_path, *model) as server:
        client = client_of(server)
        wait_until("it runs", lambda: client.responses.retrieve(endless.id).status == "in_progress", 20)
        assert client.responses.cancel(endless.id).status == "cancelled"


def test_without_retention_nothing_is_kept(tmp_path, files):
    model = ("--model", f"chatml={files['chatml']}")
    with harness.running(tmp_path, *model) as server:
        kept = ask(server, "plain")
    with harness.running(tmp_path, *model, RESPONSES_RETENTION_DAYS="0") as server:
        client = client_of(server)
        made = client.responses.create(model="chatml", input="Please #plain", store=True, temperature=0)
        assert (made.output_text, made.store) == ("It is warm.", False)
        for name in (made.id, kept["id"]):
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(name)
        with pytest.raises(openai.BadRequestError, match="RESPONSES_RETENTION_DAYS"):
            client.responses.create(model="chatml", input="x", previous_response_id=made.id)
        with pytest.raises(openai.BadRequestError, match="RESPONSES_RETENTION_DAYS"):
            client.responses.create(model="chatml", input="x", background=True)
    with sqlite3.connect(tmp_path / "home" / "responses.sqlite") as database:
        assert database.execute("SELECT count(*) FROM responses").fetchone() == (0,)


@pytest.mark.parametrize("damage", ["no database", "a folder in its place", "held by another server"])
def test_a_store_that_cannot_be_used(tmp_path, files, damage):
    """Who asks for storing in so many words is told; other answers say that they are not stored."""
    model = ("--model", f"chatml={files['chatml']}")
    file = tmp_path / "home" / "responses.sqlite"
    file.parent.mkdir()
    if damage == "no database":
        file.write_bytes(b"x" * 8192)
    elif damage == "a folder in its place":
        file.mkdir()
    else:
        holder = harness.Server(tmp_path / "holder", *model, environment={"SUTAZAI_HOME": str(file.parent)})
        holder.wait_for_ready()
        assert ask(holder, "plain")["store"] is True
    try:
        with harness.running(tmp_path, *model) as server:
            client = client_of(server)
            assert ask(server, "plain")["store"] is False
            assert ask(server, "plain", store=False)["output"][0]["content"][0]["text"] == "It is warm."
            events = events_of(server, {"input": "Please #plain", "stream": True, "temperature": 0})
            assert events[-1]["response"]["store"] is False
            for fields in ({"store": True}, {"background": True}, {"previous_response_id": "resp_x"}):
                answer = server.post(PATH, {"input": "Please #plain", **fields})
                assert answer.status_code == 503, (fields, answer.text)
            with pytest.raises(openai.InternalServerError):
                client.responses.retrieve("resp_x")
            assert "responses are not stored" in server.log()
            if damage == "no database":
                assert file.read_bytes() == b"x" * 8192
                file.unlink()
                wait_until("it is tried again", lambda: ask(server, "plain")["store"] is True, 20)
    finally:
        if damage == "held by another server":
            holder.stop()


def test_a_full_disk(tmp_path, files):
    """A database that may not grow gives the error that a full disk does."""
    with harness.running(tmp_path, "--model", f"chatml={files['chatml']}") as server:
        kept = ask(server, "plain")
        with sqlite3.connect(tmp_path / "home" / "responses.sqlite") as database:
            database.execute("CREATE TRIGGER full BEFORE INSERT ON responses BEGIN "
                             "SELECT RAISE(ABORT, 'database or disk is full'); END")  # fmt: skip
        made = ask(server, "plain", store=True)
        assert (made["store"], made["status"]) == (False, "completed")
        events = events_of(server, {"input": "Please #plain", "stream": True, "temperature": 0})
        assert events[-1]["response"]["store"] is False
        assert server.post(PATH, {"input": "x", "background": True}).status_code >= 500
        assert found(server, kept["id"]) == kept


def test_many_at_once(served):
    """Streams, whole answers and background responses side by side; each is stored once."""
    def one(number: int) -> str:
        if number % 3 == 0:
            return events_of(served, {"model": "chatml", "input": "Please #plain", "temperature": 0,
                                      "stream": True})[-1]["response"]["id"]  # fmt: skip
        return ask(served, "plain", background=number % 3 == 1)["id"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = list(pool.map(one, range(45)))
    assert len(set(names)) == 45
    for name in names:
        wait_until("it is there", lambda: found(served, name)["status"] == "completed", 30)
        assert found(served, name)["output"][0]["content"][0]["text"] == "It is warm."


@pytest.mark.parametrize("kind", ["sutazai", "openai", "ollama"])
def test_models_of_other_servers(start_server, served, kind):
    """Calls and thoughts of another server are items here, and the conversation is kept here."""
    front = start_server(UPSTREAMS=f"there={kind}+http://127.0.0.1:{served.port}")
    names = lambda: [model["id"] for model in front.client.get(front.url + "/v1/models").json()["data"]]
    wait_until("the models are known", lambda: any("think" in name for name in names()), 20)
    model = next(name for name in names() if "think" in name)
    response = ask(front, "both", model=model, tools=FLAT)
    ids = [one["call_id"] for one in response["output"] if one["type"] == "function_call"]
    got = response["output"]
    assert [one["type"] for one in got] == ["reasoning", "function_call"]
    assert got[0]["content"][0]["text"] == "I ask."
    assert json.loads(got[1]["arguments"]) == json.loads(ROME)
    results = [{"type": "function_call_output", "call_id": ids[0], "output": "warm"},
               {"role": "user", "content": "Please #plain"}]  # fmt: skip
    events = events_of(front, {"model": model, "input": results, "previous_response_id": response["id"], "tools": FLAT,
                               "temperature": 0, "stream": True})  # fmt: skip
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "Not a thought."
