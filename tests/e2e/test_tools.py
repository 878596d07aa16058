"""Tool calls and reasoning in every family, to the byte: the models say what they are told to (scripted.py)."""

import json
import re

import ollama
import openai
import pytest

import harness
import scripted
from test_openai import client_of

TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "Tells the weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "note", "description": "Keeps a note", "parameters": {
            "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}},
]  # fmt: skip


def call(name: str, arguments: str) -> str:
    return '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>' % (name, arguments)


ROME = '{"city": "Rome", "days": 2}'
NOTE = '{"text": "a } b \\" <c> \\u00e9 é"}'

#: By dialect and key: what the model writes; then content, reasoning and calls of the message.
CASES = {
    "chatml": {
        "plain": ("It is warm.", "It is warm.", "", []),
        "one": (call("weather", ROME), "", "", [("weather", ROME)]),
        "two": (call("weather", ROME) + "\n" + call("note", NOTE), "", "", [("weather", ROME), ("note", NOTE)]),
        "after": ("Let me look.\n\n" + call("weather", ROME), "Let me look.\n\n", "", [("weather", ROME)]),
        "like": ("The tag <tool_call> begins a call, 1 < 2.", "The tag <tool_call> begins a call, 1 < 2.", "", []),
        "open": ("So <tool", "So <tool", "", []),
    },
    "think": {
        "plain": ("Not a thought.", "Not a thought.", "", []),
        "thought": ("<think>\nHm, <b> so.\n</think>\n\nIt is so.", "It is so.", "Hm, <b> so.", []),
        "both": ("<think>\nI ask.\n</think>\n\n" + call("weather", ROME), "", "I ask.", [("weather", ROME)]),
        "all": ("<think>\nI see.\n</think>\n\nLook:\n" + call("note", NOTE), "Look:\n", "I see.", [("note", NOTE)]),
    },
    "llama3": {
        "plain": ("A {brace} here.", "A {brace} here.", "", []),
        "one": ('{"name": "weather", "parameters": %s}' % ROME, "", "", [("weather", ROME)]),
    },
    "mistral": {
        "plain": ("Bonjour.", "Bonjour.", "", []),
        "two": ('[TOOL_CALLS] [{"name": "weather", "arguments": %s, "id": "123456789"}, {"name": "note", "arguments": '
                '%s, "id": "abcdefghi"}]' % (ROME, NOTE), "", "", [("weather", ROME), ("note", NOTE)]),
    },
    "gpt-oss": {
        "one": ("<|channel|>analysis<|message|>Hm, so.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
                "<|constrain|>json<|message|>" + ROME, "", "Hm, so.", [("weather", ROME)]),
        "plain": ("<|channel|>analysis<|message|>Well.<|end|><|start|>assistant<|channel|>final<|message|>It is.",
                  "It is.", "Well.", []),
    },
}  # fmt: skip
ALL = [(dialect, key) for dialect, cases in CASES.items() for key in cases]


def scripted_models(folder) -> list[str]:
    """The models of all dialects, as arguments of the server."""
    arguments = []
    for dialect, cases in CASES.items():
        scripts = scripted.in_pieces({key: case[0] for key, case in cases.items()})
        if dialect == "chatml":
            scripts["endless"] = ["<tool_call>\n", '{"name": "note", ', '"arguments": {"text": "', " lorem", " ipsum",
                                  {"back": 2}]  # fmt: skip
        if dialect == "think":
            scripts["ponder"] = ["<think>\n!", " again", " and more", {"back": 2}]
        arguments += ["--model", f"{dialect}={scripted.make(folder, dialect, scripts)}"]
    return arguments


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripted")
    arguments = scripted_models(folder)
    with harness.running(folder / "server", *arguments, MODEL_CACHE_SIZE="5", CONTEXT_TOKENS="8192") as server:
        yield server


def ask(key: str) -> list[dict]:
    return harness.user(f"Please #{key}")


def expected(dialect: str, key: str):
    _, content, reasoning, calls = CASES[dialect][key]
    return content, reasoning, calls, "tool_calls" if calls else "stop"


@pytest.mark.parametrize("dialect,key", ALL)
def test_openai(served, dialect, key):
    content, reasoning, calls, reason = expected(dialect, key)
    body = {"model": dialect, "messages": ask(key), "tools": TOOLS, "temperature": 0}
    answer = served.post(harness.COMPLETIONS_PATH, body)
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    message = choice["message"]
    assert (message["content"] or "", message.get("reasoning_content", "")) == (content, reasoning)
    assert [(one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls", [])] == calls
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", one["id"]) for one in message.get("tool_calls", []))
    assert choice["finish_reason"] == reason
    details = answer.json()["usage"].get("completion_tokens_details", {})
    assert (details.get("reasoning_tokens", 0) > 0) == bool(reasoning)


@pytest.mark.parametrize("dialect,key", ALL)
def test_openai_streams(served, dialect, key):
    content, reasoning, calls, reason = expected(dialect, key)
    client = client_of(served)
    said = thought = ""
    made: dict[int, dict] = {}
    reasons = []
    for chunk in client.chat.completions.create(model=dialect, messages=ask(key), tools=TOOLS, temperature=0,
                                                stream=True):  # fmt: skip
        for choice in chunk.choices:
            said += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
            for one in choice.delta.tool_calls or []:
                if one.id:
                    assert one.index not in made and one.type == "function"
                    made[one.index] = {"id": one.id, "name": one.function.name, "arguments": ""}
                made[one.index]["arguments"] += one.function.arguments or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert (said, thought, reasons) == (content, reasoning, [reason])
    assert sorted(made) == list(range(len(calls)))
    assert [(made[i]["name"], made[i]["arguments"]) for i in sorted(made)] == calls


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect,key", ALL)
def test_ollama(served, dialect, key, stream):
    content, reasoning, calls, _ = expected(dialect, key)
    client = ollama.Client(host=served.url)
    answers = client.chat(dialect, ask(key), tools=TOOLS, stream=stream, options={"temperature": 0})
    answers = list(answers) if stream else [answers]
    assert "".join(answer.message.content or "" for answer in answers) == content
    assert "".join(answer.message.thinking or "" for answer in answers) == reasoning
    made = [one for answer in answers for one in answer.message.tool_calls or []]
    assert [(one.function.name, dict(one.function.arguments)) for one in made] == [
        (name, json.loads(arguments)) for name, arguments in calls
    ]
    assert answers[-1].done_reason == "stop"


@pytest.mark.parametrize("dialect,key", ALL)
def test_the_specifications_chat(served, dialect, key):
    content, reasoning, calls, reason = expected(dialect, key)
    fields = {"model": dialect, "tools": TOOLS, "temperature": 0}
    answer = served.chat(ask(key), **fields)
    assert (answer.text, answer.finish_reason) == (content, reason)
    assert "".join(event["content"] for event in answer.events if event["type"] == "reasoning") == reasoning
    made: dict[int, list[str]] = {}
    for event in answer.events:
        for one in event.get("tool_calls", []):
            made.setdefault(one["index"], [one.get("name", ""), ""])[1] += one["arguments"]
    assert [tuple(made[i]) for i in sorted(made)] == calls
    whole = served.post(harness.STREAM_PATH, {"messages": ask(key), "stream": False, **fields}).json()
    assert (whole["content"], whole.get("reasoning", "")) == (content, reasoning)
    assert [(one["function"]["name"], one["function"]["arguments"]) for one in whole.get("tool_calls", [])] == calls


def test_what_a_call_gave_goes_back_in(served):
    for dialect in ("chatml", "think", "llama3", "mistral"):
        first = client_of(served).chat.completions.create(
            model=dialect, messages=ask({"think": "both", "mistral": "two"}.get(dialect, "one")), tools=TOOLS)  # fmt: skip
        message = first.choices[0].message
        messages = [*ask("one"), message.model_dump(exclude_none=True)]
        for made in message.tool_calls:
            messages.append({"role": "tool", "tool_call_id": made.id, "content": "22 degrees #plain"})
        second = client_of(served).chat.completions.create(model=dialect, messages=messages, tools=TOOLS)
        assert second.choices[0].message.content == CASES[dialect]["plain"][1]
        assert second.choices[0].finish_reason == "stop"


def test_ollamas_way_back(served):
    client = ollama.Client(host=served.url)
    for dialect in ("chatml", "mistral"):
        first = client.chat(dialect, ask("two"), tools=TOOLS)
        messages = [*ask("two"), first.message]
        for made in first.message.tool_calls:
            messages.append({"role": "tool", "tool_name": made.function.name, "content": "22 degrees #plain"})
        assert client.chat(dialect, messages, tools=TOOLS).message.content == CASES[dialect]["plain"][1]


@pytest.mark.parametrize("dialect,key", [("chatml", "plain"), ("llama3", "plain"), ("mistral", "plain"), ("think", "thought")])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "note"}}])
def test_a_call_that_is_required_is_one(served, dialect, key, choice):
    """The model would say something else; at a high temperature all that the grammar allows is drawn."""
    for seed in range(3):
        answer = client_of(served).chat.completions.create(
            model=dialect, messages=ask(key), tools=TOOLS, tool_choice=choice, temperature=2, seed=seed, max_tokens=3000,
            parallel_tool_calls=False, extra_body={"top_k": 0, "top_p": 1, "min_p": 0})  # fmt: skip
        if answer.choices[0].finish_reason == "length":
            continue  # endless white space or text
        assert answer.choices[0].finish_reason == "tool_calls", answer
        for made in answer.choices[0].message.tool_calls:
            arguments = json.loads(made.function.arguments)
            if choice != "required":
                assert made.function.name == "note"
            if made.function.name == "note":
                assert list(arguments) == ["text"] and isinstance(arguments["text"], str)
            else:
                assert isinstance(arguments["city"], str) and set(arguments) <= {"city", "days"}


def test_no_call_where_none_is_wanted(served):
    answer = client_of(served).chat.completions.create(model="chatml", messages=ask("one"), tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content == CASES["chatml"]["one"][0]
    assert not answer.choices[0].message.tool_calls and answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_a_call_that_is_cut_off(served, most):
    answer = client_of(served).chat.completions.create(model="chatml", messages=ask("endless"), tools=TOOLS, max_tokens=most)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "length"
    assert not message.content
    if most == 1:
        assert not message.tool_calls
        return
    # llama-common tells of the arguments' brace with the name.
    arguments = {2: "{", 3: '{"text": "', 10: '{"text": "' + " lorem ipsum" * 3 + " lorem"}[most]
    assert [(made.function.name, made.function.arguments) for made in message.tool_calls] == [("note", arguments)]
    whole = ollama.Client(host=served.url).chat("chatml", ask("endless"), tools=TOOLS, options={"num_predict": most})
    assert not whole.message.tool_calls and whole.done_reason == "length"


def test_a_stop_string_within_a_call(served):
    for stream in (False, True):
        fields = {"model": "chatml", "messages": ask("one"), "tools": TOOLS, "stop": ["days"]}
        if stream:
            made = "".join(
                one.function.arguments or ""
                for chunk in client_of(served).chat.completions.create(**fields, stream=True)
                for choice in chunk.choices
                for one in choice.delta.tool_calls or []
            )
        else:
            answer = client_of(served).chat.completions.create(**fields)
            assert answer.choices[0].finish_reason == "stop"
            made = answer.choices[0].message.tool_calls[0].function.arguments
        assert made == '{"city": "Rome", "'


def test_several_answers_and_scores(served):
    answer = client_of(served).chat.completions.create(
        model="think", messages=ask("both"), tools=TOOLS, n=3, logprobs=True, top_logprobs=1)  # fmt: skip
    ids = set()
    for choice in answer.choices:
        made = choice.message.tool_calls[0]
        ids.add(made.id)
        assert (made.function.name, made.function.arguments) == ("weather", ROME)
        assert "".join(score.token for score in choice.logprobs.content) == CASES["think"]["both"][0]
    assert len(ids) == 3
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_thoughts_have_a_budget(served):
    """The model would think for ever: after so many tokens the end of its thoughts is put into its mouth."""
    for budget in (0, 5, 20):
        answer = client_of(served).chat.completions.create(
            model="think", messages=ask("ponder"), max_tokens=60, extra_body={"reasoning_budget_tokens": budget})  # fmt: skip
        details = answer.usage.completion_tokens_details
        assert budget <= details.reasoning_tokens <= budget + 16
        assert answer.usage.completion_tokens < 60, "it was ended"
        words = answer.choices[0].message.reasoning_content or ""
        assert len(re.findall("again|and more", words)) <= budget


def test_thinking_can_be_left_out_or_left_in(served):
    client = client_of(served)
    left_in = client.chat.completions.create(model="think", messages=ask("thought"), extra_body={"reasoning_format": "none"})
    assert left_in.choices[0].message.content == CASES["think"]["thought"][0]
    without = client.chat.completions.create(model="think", messages=ask("plain"), reasoning_effort="none")
    with_thoughts = client.chat.completions.create(model="think", messages=ask("plain"))
    assert without.usage.prompt_tokens > with_thoughts.usage.prompt_tokens, "the template closes the thoughts"
    named = client.chat.completions.create(
        model="think", messages=ask("plain"), extra_body={"chat_template_kwargs": {"enable_thinking": False}})  # fmt: skip
    assert named.usage.prompt_tokens == without.usage.prompt_tokens


def test_ollamas_think(served, server):
    client = ollama.Client(host=served.url)
    assert client.chat("think", ask("thought"), think=True).message.thinking == "Hm, <b> so."
    generated = client.generate("think", "Please #thought", think=True)
    assert (generated.response, generated.thinking) == ("It is so.", "Hm, <b> so.")
    pieces = list(client.generate("think", "Please #thought", stream=True))
    assert "".join(piece.thinking or "" for piece in pieces) == "Hm, <b> so."
    for refused in ("think", "tools"):
        more = {"think": True} if refused == "think" else {"tools": TOOLS}
        with pytest.raises(ollama.ResponseError) as caught:
            ollama.Client(host=server.url).chat("toy", harness.user("Hi"), **more)
        assert caught.value.status_code == 400
        assert caught.value.error == f'"toy" does not support {"thinking" if refused == "think" else "tools"}'


def test_what_a_model_can_do_is_said(served, server):
    client = ollama.Client(host=served.url)
    for dialect, more in [("chatml", ["tools"]), ("think", ["tools", "thinking"]), ("llama3", ["tools"]),
                          ("mistral", ["tools"]), ("gpt-oss", ["tools", "thinking"])]:  # fmt: skip
        assert client.show(dialect).capabilities == ["completion", *more]
    assert ollama.Client(host=server.url).show("toy").capabilities == ["completion"]


def test_errors_name_the_field(served, server):
    def error_of(where, **fields):
        with pytest.raises(openai.BadRequestError) as caught:
            client_of(where).chat.completions.create(messages=harness.user("Hi"), **fields)
        return caught.value.param, caught.value.body["message"]

    assert error_of(server, model="toy", tools=TOOLS) == ("tools", '"toy" does not support tools')
    assert error_of(served, model="chatml", tools=[{"type": "function"}])[0] == "tools[0].function"
    assert error_of(served, model="chatml", tool_choice="required")[0] == "tool_choice"
    assert error_of(served, model="chatml", tools=TOOLS, extra_body={"grammar": 'root ::= "x"'})[0] == "grammar"
