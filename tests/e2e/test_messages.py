"""Anthropic's Messages API, to the byte where the models say what they are told to (scripted.py), and by its client."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import typing

import anthropic
import httpx
import pydantic
import pytest

import harness
import scripted
from test_disconnect import in_work
from test_overload import n_waiting
from test_tools import ALL, CASES, NOTE, ROME, TOOLS, ask, scripted_models
from test_upstreams import KINDS, address, has

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
VERSION = {"anthropic-version": "2023-06-01"}
ANTHROPIC_TOOLS = [
    {"name": one["function"]["name"], "description": one["function"]["description"],
     "input_schema": one["function"]["parameters"]} for one in TOOLS
]  # fmt: skip


def client_of(server, key: str = "none", **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, **more)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    arguments = scripted_models(folder)
    with harness.running(folder / "server", *arguments, MODEL_CACHE_SIZE="5", CONTEXT_TOKENS="8192") as server:
        yield server


def body_of(dialect: str, key: str, **more) -> dict:
    return {"model": dialect, "messages": ask(key), "max_tokens": 1000, "temperature": 0, "tools": ANTHROPIC_TOOLS} | more


def by_client(dialect: str, key: str, **more) -> dict:
    """The same for the client, which knows no temperature any more."""
    body = body_of(dialect, key, **more)
    return body | {"extra_body": {"temperature": body.pop("temperature")}}


def events_of(response) -> list[dict]:
    """Strict about framing: each event has its name and one line of data, whose type is that name."""
    assert response.headers["content-type"].startswith("text/event-stream")
    text = response.read().decode()
    assert text.endswith("\n\n")
    events = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        lines = frame.split("\n")
        assert len(lines) == 2, frame
        event = json.loads(lines[1].removeprefix("data: "))
        assert lines[0] == f"event: {event['type']}" and lines[1].startswith("data: ")
        events.append(event)
    return events


def stream(server, body: dict) -> list[dict]:
    with server.client.stream("POST", server.url + PATH, json=body | {"stream": True}) as response:
        assert response.status_code == 200, response.read()
        return events_of(response)


def blocks_of(dialect: str, key: str) -> list[dict]:
    """What the answer holds, without the ids of calls."""
    _, content, reasoning, calls = CASES[dialect][key]
    blocks = [{"type": "thinking", "thinking": reasoning, "signature": "sutazai"}] if reasoning else []
    blocks += [{"type": "text", "text": content}] if content else []
    return blocks + [{"type": "tool_use", "name": name, "input": json.loads(text)} for name, text in calls]


@pytest.mark.parametrize("dialect,key", ALL)
def test_a_message(served, dialect, key):
    answer = served.post(PATH, body_of(dialect, key))
    assert answer.status_code == 200, answer.text
    message = answer.json()
    assert re.fullmatch("req_[0-9a-f]{24}", answer.headers["request-id"])
    assert re.fullmatch("msg_[0-9a-f]{24}", message["id"])
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    ids = [block.pop("id") for block in calls]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-zA-Z0-9]{9}", one) for one in ids)
    assert message["content"] == blocks_of(dialect, key)
    assert message["stop_reason"] == ("tool_use" if calls else "end_turn") and message["stop_sequence"] is None
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", dialect)
    usage = message["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] > 0 and usage["cache_creation_input_tokens"] == 0
    thought = usage.get("output_tokens_details", {}).get("thinking_tokens", 0)
    assert (thought > 0) == bool(CASES[dialect][key][2]) and thought < usage["output_tokens"]


@pytest.mark.parametrize("dialect,key", ALL)
def test_a_stream_is_told_block_by_block(served, dialect, key):
    events = stream(served, body_of(dialect, key))
    start, ping = events[:2]
    assert start["message"].pop("id").startswith("msg_")
    assert start == {"type": "message_start", "message": {
        "type": "message", "role": "assistant", "model": dialect, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0,
                                         "cache_read_input_tokens": 0, "output_tokens": 0}}}  # fmt: skip
    assert ping == {"type": "ping"}
    blocks: list[dict] = []
    is_open = False
    for event in events[2:-2]:
        if event["type"] == "content_block_start":
            assert not is_open and event["index"] == len(blocks)
            blocks.append(event["content_block"])
            is_open = True
            if blocks[-1]["type"] == "tool_use":
                assert blocks[-1].pop("id") and blocks[-1].pop("input") == {}
                blocks[-1]["json"] = ""
            continue
        assert is_open and event["index"] == len(blocks) - 1
        if event["type"] == "content_block_stop":
            is_open = False
            if "json" in blocks[-1]:
                blocks[-1]["input"] = json.loads(blocks[-1].pop("json") or "{}")
            continue
        assert event["type"] == "content_block_delta"
        delta = event["delta"]
        name = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature",
                "input_json_delta": "partial_json"}[delta["type"]]  # fmt: skip
        assert set(delta) == {"type", name} and delta[name]
        blocks[-1]["json" if name == "partial_json" else name] += delta[name]
    assert not is_open
    assert blocks == blocks_of(dialect, key)
    last = events[-2]
    assert last["type"] == "message_delta" and events[-1] == {"type": "message_stop"}
    calls = CASES[dialect][key][3]
    assert last["delta"] == {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    assert last["usage"]["output_tokens"] > 0
    assert last["usage"]["input_tokens"] + last["usage"]["cache_read_input_tokens"] > 0


@pytest.mark.parametrize("dialect,key", ALL)
def test_the_client_makes_of_a_stream_what_a_whole_answer_is(served, dialect, key):
    client = client_of(served)
    whole = client.messages.create(**by_client(dialect, key))
    with client.messages.stream(**by_client(dialect, key)) as streamed:
        said = "".join(streamed.text_stream)
        made = streamed.get_final_message()
        assert streamed.request_id.startswith("req_")
    assert said == CASES[dialect][key][1]
    without_ids = [
        [block.model_dump(exclude={"id", "parsed_output"}, exclude_none=True) for block in message.content]
        for message in (whole, made)
    ]
    assert without_ids[0] == without_ids[1] == blocks_of(dialect, key)
    assert (whole.stop_reason, whole._request_id[:4]) == (made.stop_reason, "req_")
    assert whole.usage.output_tokens == made.usage.output_tokens > 0


def test_a_stream_to_the_byte(served):
    body = body_of("chatml", "one", stream=True)
    served.post(PATH, body)  # from now on the prompt is kept
    text = served.post(PATH, body).text
    made, usage = re.search(r'"id":"(\w{9})"', text), re.search(r'"cache_read_input_tokens":(\d{2,})', text)
    n_input = re.findall(r'"input_tokens":(\d+)', text)[-1]
    n_output = re.findall(r'"output_tokens":(\d+)', text)[-1]
    message = re.search(r"msg_\w{24}", text)[0]
    pieces = re.findall(r'"partial_json":"(.*)"}}', text)
    assert json.loads("".join(json.loads(f'"{piece}"') for piece in pieces)) == json.loads(ROME)
    deltas = "".join(
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        f'{{"type":"input_json_delta","partial_json":"{piece}"}}}}\n\n' for piece in pieces)  # fmt: skip
    assert text == (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"' + message + '","type":"message",'
        '"role":"assistant","model":"chatml","content":[],"stop_reason":null,"stop_sequence":null,"usage":'
        '{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        'event: ping\ndata: {"type":"ping"}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use",'
        '"id":"' + made[1] + '","name":"weather","input":{}}}\n\n' + deltas +
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},'
        '"usage":{"input_tokens":' + n_input + ',"cache_creation_input_tokens":0,"cache_read_input_tokens":' + usage[1] +
        ',"output_tokens":' + n_output + "}}\n\n"
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )  # fmt: skip


def test_what_calls_gave_goes_back_in(served):
    client = client_of(served)
    for dialect, key in [("chatml", "two"), ("think", "both"), ("llama3", "one"), ("mistral", "two")]:
        first = client.messages.create(**by_client(dialect, key))
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": "22 degrees #plain", "is_error": False}
                   for block in first.content if block.type == "tool_use"]  # fmt: skip
        messages = [*ask(key), {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = client.messages.create(**by_client(dialect, key) | {"messages": messages})
        assert second.content[-1].text == CASES[dialect]["plain"][1]
        assert second.stop_reason == "end_turn"
        whole = [{"type": "text", "text": "22 degrees #plain"}]
        listed = [dict(one, content=whole) for one in results]
        third = client.messages.create(**by_client(dialect, key) | {"messages": [*messages[:-1], {"role": "user", "content": listed}]})
        assert third.usage.cache_read_input_tokens > first.usage.input_tokens, "it is the same prompt"


def test_the_clients_tool_runner(served):
    asked = []

    @anthropic.beta_tool
    def weather(city: str, days: int = 1) -> str:
        """Tells the weather.

        Args:
            city: where
            days: how many
        """
        asked.append((city, days))
        return "22 degrees #plain"

    runner = client_of(served).beta.messages.tool_runner(
        model="chatml", max_tokens=1000, tools=[weather], messages=ask("one"))  # fmt: skip
    final = runner.until_done()
    assert asked == [("Rome", 2)]
    assert final.content[0].text == "It is warm."


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "note", "disable_parallel_tool_use": True}])
@pytest.mark.parametrize("dialect,key", [("chatml", "plain"), ("think", "thought"), ("mistral", "plain")])
def test_a_call_that_is_required_is_one(served, dialect, key, choice):
    for seed in range(2):
        answer = served.post(PATH, body_of(dialect, key, tool_choice=choice, temperature=2, seed=seed, max_tokens=3000,
                                           top_k=0, top_p=1, min_p=0)).json()  # fmt: skip
        if answer["stop_reason"] in ("max_tokens", "model_context_window_exceeded"):
            continue  # endless white space or text
        assert answer["stop_reason"] == "tool_use", answer
        names = {block["name"] for block in answer["content"] if block["type"] == "tool_use"}
        assert names == {"note"} or (choice["type"] == "any" and names <= {"note", "weather"})


def test_no_call_where_none_is_wanted(served):
    answer = served.post(PATH, body_of("chatml", "one", tool_choice={"type": "none"})).json()
    assert answer["content"] == [{"type": "text", "text": CASES["chatml"]["one"][0]}]
    assert answer["stop_reason"] == "end_turn"


@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_a_call_that_is_cut_off(served, most):
    """A stream tells what there is of it; a whole answer leaves it out."""
    body = body_of("chatml", "endless", max_tokens=most)
    answer = served.post(PATH, body).json()
    assert (answer["content"], answer["stop_reason"]) == ([], "max_tokens")
    assert answer["usage"]["output_tokens"] == most
    events = stream(served, body)
    made = "".join(event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta")
    assert made == {1: "", 2: "{", 3: '{"text": "', 10: '{"text": "' + " lorem ipsum" * 3 + " lorem"}[most]
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"
    with client_of(served).messages.stream(**by_client("chatml", "endless", max_tokens=most)) as streamed:
        assert streamed.get_final_message().stop_reason == "max_tokens"


def test_stop_sequences(served):
    body = body_of("chatml", "plain", stop_sequences=["so", "wa"])
    answer = served.post(PATH, body).json()
    assert answer["content"] == [{"type": "text", "text": "It is "}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "wa")
    assert stream(served, body)[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "wa"}
    within = served.post(PATH, body_of("chatml", "one", stop_sequences=["days"])).json()
    assert (within["content"], within["stop_reason"]) == ([], "stop_sequence"), "a call that is not whole"


def test_a_context_that_is_full(start_server, toy):
    server = start_server("--model", toy, CONTEXT_TOKENS="256")
    body = {"model": "toy", "messages": harness.user("Hi"), "max_tokens": 32_000, "ignore_eos": True}
    assert server.post(PATH, body).json()["stop_reason"] == "model_context_window_exceeded"
    refused = server.post(PATH, body | {"messages": harness.user("Hi " * 1000)})
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert refused.json()["error"]["message"].startswith("prompt is too long: ")


def test_thinking(served):
    client = client_of(served)
    usual = {"model": "think", "messages": ask("thought"), "max_tokens": 2000}
    answer = client.messages.create(**usual, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking == "Hm, <b> so." and answer.content[0].signature
    hidden = client.messages.create(**usual, thinking={"type": "adaptive", "display": "omitted"})
    assert hidden.content[0].thinking == "" and hidden.content[1].text == "It is so."
    with client.messages.stream(**usual, thinking={"type": "adaptive", "display": "omitted"}) as streamed:
        assert streamed.get_final_message().content[0] == hidden.content[0]

    def tokens_with(content) -> int:
        messages = [*ask("both"), {"role": "assistant", "content": content},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]}]  # fmt: skip
        return client.messages.count_tokens(model="think", messages=messages, tools=ANTHROPIC_TOOLS).input_tokens

    call = {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Rome"}}
    assert tokens_with([hidden.content[0], call]) == tokens_with([answer.content[0], call]) > tokens_with([call])
    budget = client.messages.create(model="think", messages=ask("ponder"), max_tokens=60,
                                    thinking={"type": "enabled", "budget_tokens": 5})  # fmt: skip
    assert budget.usage.output_tokens < 60, "its thoughts were ended"
    without = client.messages.count_tokens(model="think", messages=ask("plain"), thinking={"type": "disabled"})
    usually = client.messages.count_tokens(model="think", messages=ask("plain"))
    assert without.input_tokens > usually.input_tokens, "the template closes the thoughts"


def test_structured_output(served, server):
    class Count(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        n: typing.Literal[1, 2, 3]

    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"],
              "additionalProperties": False}  # fmt: skip
    body = {"model": "toy", "messages": harness.user("Count."), "max_tokens": 300}
    for named in ({"output_config": {"format": {"type": "json_schema", "schema": schema}}},
                  {"output_format": {"type": "json_schema", "schema": schema}}):  # fmt: skip
        answer = server.post(PATH, body | named).json()
        assert set(json.loads(answer["content"][0]["text"])) == {"n"}
    parsed = client_of(server).messages.parse(**body, output_format=Count)
    assert isinstance(parsed.parsed_output, Count)
    refused = served.post(PATH, body_of("chatml", "plain", output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("output_config.format does not go with tools")


def test_a_prefilled_answer_is_continued(server):
    body = {"model": "toy", "max_tokens": 12, "temperature": 0}
    messages = [*harness.user("Hi"), {"role": "assistant", "content": "Well, "}]
    ours = server.post("/v1/chat/completions", body | {"messages": messages}).json()
    answer = server.post(PATH, body | {"messages": messages}).json()
    assert answer["content"][0]["text"] == ours["choices"][0]["message"]["content"]
    usage = answer["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == ours["usage"]["prompt_tokens"]


def test_the_cache_is_told_truly(start_server, toy):
    server = start_server("--model", toy)
    client = client_of(server)
    system = [{"type": "text", "text": "You know a lot about the sea. " * 30}]
    marked = [dict(system[0], cache_control={"type": "ephemeral", "ttl": "1h"})]
    counted = client.messages.count_tokens(model="toy", system=system, messages=harness.user("One?")).input_tokens

    def ask_it(text: str, system=system, **more):
        usage = client.messages.create(model="toy", system=system, max_tokens=4, messages=harness.user(text), **more).usage
        return usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens

    first = ask_it("One?", marked)
    assert first == (0, counted, 0), "all of it was computed and is kept"
    again = ask_it("One?", marked)
    assert again[0] == 0 and sum(again) == counted and again[2] > counted - 64
    plain = ask_it("One?")
    assert plain[1] == 0 and sum(plain) == counted and plain[2] > counted - 64, "it needs no mark"
    other = ask_it("Two?", marked)
    assert other[2] > counted - 64, "the prefix is shared"
    whole = server.post(harness.COMPLETIONS_PATH, {"model": "toy", "max_tokens": 1, "messages": [
        {"role": "system", "content": system[0]["text"]}, *harness.user("One?")]}).json()  # fmt: skip
    assert whole["usage"]["prompt_tokens"] == counted
    warmed = client.messages.create(model="toy", max_tokens=0, messages=harness.user("A prompt that is computed " * 20))
    assert (warmed.content, warmed.stop_reason, warmed.usage.output_tokens) == ([], "max_tokens", 0)
    assert ask_it("A prompt that is computed " * 20, anthropic.NOT_GIVEN)[2] > 60


def test_without_sharing_nothing_is_kept(start_server, toy):
    server = start_server("--model", toy, PREFIX_SHARING="false")
    body = {"model": "toy", "max_tokens": 4, "messages": harness.user("Hello there"), "cache_control": {"type": "ephemeral"}}
    for _ in range(2):
        usage = server.post(PATH, body).json()["usage"]
        assert usage["input_tokens"] > 0
        assert usage["cache_creation_input_tokens"] == usage["cache_read_input_tokens"] == 0


def test_what_claude_code_sends(served):
    """Its shape: a query, beta headers, billing in the system's text, marks, metadata, many tools, thoughts to be kept."""
    tools = [dict(ANTHROPIC_TOOLS[0], name=f"mcp__server__tool_{i}") for i in range(12)] + [
        dict(ANTHROPIC_TOOLS[0], cache_control={"type": "ephemeral"}, eager_input_streaming=True)]  # fmt: skip

    def body(cch: str) -> dict:
        return {
            "model": "chatml", "max_tokens": 32000, "stream": True, "temperature": 1, "tools": tools,
            "metadata": {"user_id": "user_abc_account__session_def"},
            "thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "system": [
                {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli; cch={cch};"},
                {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}],
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                {"type": "text", "text": "Please #one", "cache_control": {"type": "ephemeral"}}]}]}  # fmt: skip

    headers = VERSION | {"anthropic-beta": "claude-code-20250219,context-management-2025-06-27", "x-api-key": "k",
                         "x-app": "cli", "anthropic-dangerous-direct-browser-access": "true"}  # fmt: skip
    for cch in ("36ee5", "0aaa9"):
        answer = served.post(PATH + "?beta=true", body(cch), headers=headers)
        assert answer.status_code == 200, answer.text
        assert '"name":"weather"' in answer.text and '"stop_reason":"tool_use"' in answer.text
    read = int(re.findall(r'"cache_read_input_tokens":(\d+)', answer.text)[-1])
    assert read > 1000, "what is billed does not part the prompts"
    counted = served.post(COUNT_PATH + "?beta=true", {key: body("1")[key] for key in ("model", "tools", "messages", "system")},
                          headers=headers)  # fmt: skip
    assert counted.status_code == 200 and read < counted.json()["input_tokens"] + 64


def test_tokens_are_counted_as_they_are_read(served):
    body = body_of("chatml", "one")
    counted = served.post(COUNT_PATH, {key: body[key] for key in ("model", "messages", "tools")})
    assert counted.status_code == 200, counted.text
    usage = served.post(PATH, body).json()["usage"]
    assert counted.json() == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}
    fewer = client_of(served).messages.count_tokens(model="chatml", messages=ask("one")).input_tokens
    assert fewer < counted.json()["input_tokens"]


def test_models(served):
    client = client_of(served)
    known = {model["id"] for model in served.client.get(served.url + "/v1/models").json()["data"]}
    assert known == {model.id for model in client.models.list(limit=2)} >= set(CASES), "the client asks for all pages"
    one = client.models.retrieve("chatml")
    assert (one.id, one.type, one.display_name, one.lifecycle) == ("chatml", "model", "chatml", "active")
    page = served.client.get(served.url + "/v1/models?limit=2", headers=VERSION).json()
    assert page["has_more"] is True and page["last_id"] == page["data"][1]["id"]
    assert served.client.get(served.url + "/v1/models").json()["object"] == "list", "OpenAI's shape for all others"
    assert served.client.get(served.url + "/v1/models/chatml").json()["object"] == "model"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nobody")
    for query in ("limit=0", "limit=x", "after_id=nobody"):
        refused = served.client.get(served.url + "/v1/models?" + query, headers=VERSION)
        assert refused.status_code == 400 and refused.json()["error"]["message"].startswith(query.split("=")[0])


def test_errors_have_anthropics_shape(served, server):
    def error(response, status: int, kind: str) -> str:
        assert response.status_code == status, response.text
        body = response.json()
        assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
        assert body["request_id"] == response.headers["request-id"]
        assert set(body["error"]) == {"type", "message"} and body["error"]["type"] == kind
        return body["error"]["message"]

    good = {"model": "toy", "messages": harness.user("Hi"), "max_tokens": 4}
    invalid = (400, "invalid_request_error")
    assert error(server.post(PATH, good | {"max_tokens": None}), *invalid) == "max_tokens is missing"
    assert error(server.post(PATH, good | {"stream": True, "top_p": 7}), *invalid).startswith("top_p must be")
    assert error(server.client.post(server.url + PATH, content=b"{", headers={"content-type": "application/json"}),
                 *invalid).startswith("The body is not valid JSON")  # fmt: skip
    assert error(server.post(PATH, good | {"tools": ANTHROPIC_TOOLS}), *invalid) == '"toy" does not support tools'
    assert "image" in error(server.post(PATH, good | {"messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]}), *invalid)  # fmt: skip
    for path in (PATH, COUNT_PATH):
        assert "nobody" in error(server.post(path, good | {"model": "nobody"}), 404, "not_found_error")
    error(server.client.get(server.url + PATH), 405, "invalid_request_error")
    error(server.post("/v1/messages/batches", {}), 404, "not_found_error")
    error(server.client.get(server.url + "/v1/nothing", headers=VERSION), 404, "not_found_error")
    error(server.client.get(server.url + PATH, headers={"Host": "evil.example"}), 403, "permission_error")
    assert "error" in server.client.get(server.url + "/v1/nothing").json(), "and OpenAI's without the header"
    large = server.client.post(server.url + PATH, content=b"x" * 10, headers={"content-type": "text/plain"})
    error(large, 415, "invalid_request_error")


def test_a_body_that_is_too_large(start_server, toy):
    server = start_server("--model", toy, MAX_BODY_BYTES="65536")
    refused = server.post(PATH, {"model": "toy", "messages": harness.user("x" * 70_000), "max_tokens": 1})
    assert refused.status_code == 413 and refused.json()["error"]["type"] == "request_too_large"


def test_keys(start_server, toy):
    server = start_server("--model", toy, API_KEYS="alice-key-1,bob-key-22", ADMIN_API_KEYS="")
    asked = {"model": "toy", "messages": harness.user("A secret? " * 40), "max_tokens": 4}
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client_of(server, "wrong").messages.create(**asked)
    assert refused.value.body["error"]["type"] == "authentication_error"
    by_token = anthropic.Anthropic(base_url=server.url, auth_token="alice-key-1", api_key=None, max_retries=0)
    for client in (client_of(server, "alice-key-1"), by_token):
        assert client.messages.create(**asked).usage.output_tokens == 4
    assert by_token.messages.create(**asked).usage.cache_read_input_tokens > 60
    assert client_of(server, "bob-key-22").messages.create(**asked).usage.cache_read_input_tokens == 0
    paths = ["/v1/models", "/api/tags", "/props"]
    assert [server.client.get(server.url + path, headers={"x-api-key": "bob-key-22"}).status_code for path in paths] == [200] * 3


def test_a_queue_that_is_full_is_an_overload(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="1", BATCH_SIZE_MAX="1", MAX_QUEUE="1")
    long = {"model": "endless", "messages": harness.user("Hi"), "max_tokens": 100_000, "ignore_eos": True, "stream": True}
    short = long | {"max_tokens": 8, "stream": False}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.client.stream("POST", server.url + PATH, json=long) as running:
            pieces = running.iter_raw()
            while b"content_block_delta" not in next(pieces):
                pass
            waiting = pool.submit(server.post, PATH, short)
            harness.wait_until("it waits", lambda: n_waiting(server) == 1)
            for stream in (True, False):
                refused = httpx.post(server.url + PATH, json=short | {"stream": stream}, timeout=5 * harness.SLOWDOWN)
                assert refused.status_code == 529 and int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["type"] == "overloaded_error"
        assert waiting.result().json()["usage"]["output_tokens"] == 8


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
def test_a_client_that_goes_away_ends_it(start_server, endless, streams):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    body = json.dumps({"model": "endless", "messages": harness.user("Hi"), "max_tokens": 100_000, "ignore_eos": True,
                       "stream": streams}).encode()  # fmt: skip
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                       f"{len(body)}\r\n\r\n".encode() + body)  # fmt: skip
    harness.wait_until("the request runs", lambda: in_work(server) == 1)
    connection.close()
    harness.wait_until("the request is cancelled", lambda: in_work(server) == 0)


def test_an_engine_that_dies_is_an_event(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    client = client_of(server)
    with pytest.raises(anthropic.APIStatusError) as failed:
        with client.messages.stream(model="endless", max_tokens=100_000, messages=harness.user("Hi"),
                                    extra_body={"ignore_eos": True}) as streamed:  # fmt: skip
            for n, _ in enumerate(streamed.text_stream):
                if n == 3:
                    os.kill(server.only_engine(), signal.SIGKILL)
    assert failed.value.body["error"]["type"] == "api_error"
    assert failed.value.body["request_id"] == failed.value.response.headers["request-id"]
    harness.wait_until("the next is answered", lambda: server.post(PATH, {
        "model": "endless", "messages": harness.user("Hi"), "max_tokens": 2}).status_code == 200, 30)  # fmt: skip


def test_extensions_of_this_server(server):
    body = {"model": "toy", "messages": harness.user("Hi"), "max_tokens": 8, "seed": 3, "min_p": 0.2, "repeat_penalty": 1.1,
            "keep_alive": "10m", "priority": 2, "temperature": 1.5}  # fmt: skip
    assert server.post(PATH, body).json()["content"] == server.post(PATH, body).json()["content"]
    assert server.post(PATH, body | {"adapters": [{"name": "none"}]}).status_code == 400
    assert server.post(PATH, body | {"model": ""}).status_code == 200, "the server's default"
    constrained = server.post(PATH, body | {"grammar": 'root ::= "yes"'}).json()
    assert constrained["content"] == [{"type": "text", "text": "yes"}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_another_server(start_server, served, kind):
    front = start_server(UPSTREAMS=f"far={address(kind, served.port)}", UPSTREAM_POLL_S="1")
    harness.wait_until("it is listed", lambda: has("chatml")(front), 20)
    for key in ("plain", "two", "after"):
        answer = front.post(PATH, body_of("chatml", key, thinking={"type": "adaptive"}))
        assert answer.status_code == 200, answer.text
        content = [{name: value for name, value in block.items() if name != "id"} for block in answer.json()["content"]]
        assert content == blocks_of("chatml", key)
        events = stream(front, body_of("chatml", key))
        assert events[-2]["delta"]["stop_reason"] == answer.json()["stop_reason"]
    usage = front.post(PATH, body_of("chatml", "plain")).json()["usage"]
    counted = served.post(COUNT_PATH, {key: body_of("chatml", "plain")[key] for key in ("model", "messages", "tools")}).json()
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == counted["input_tokens"]
    refused = front.post(COUNT_PATH, {"model": "chatml", "messages": ask("plain")})
    assert refused.status_code == 400 and "of another server" in refused.json()["error"]["message"]


def test_notes_survive_every_byte(served):
    """Arguments with braces, quotes and escapes come as the model wrote them, in both ways of telling."""
    raw = served.post(PATH, body_of("chatml", "two")).text
    assert f'"name":"note","input":{NOTE}}}' in raw
