"""Programs that others have made, as they are, against this server: Anthropic's client for JavaScript and LangChain's
package for its API; LiteLLM by way of both APIs; instructor and LlamaIndex by OpenAI's; and an agent that calls tools of a
real MCP server. (Anthropic's client for Python is in test_messages.py.)"""

import json

import pytest

import harness
import scripted
from test_ollama_clients import PROGRAMS, clients, object_of  # noqa: F401 (a fixture)
from test_tools import CASES, NOTE, ROME, call

ECHO = '{"message": "Is it warm? #after"}'


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    chatml = {key: CASES["chatml"][key][0] for key in ("plain", "one", "two")}
    texts = {"chatml": chatml | {"echo": call("echo", ECHO), "after": "Yes, it is warm.", "object": ROME},
             "think": {key: case[0] for key, case in CASES["think"].items()}}  # fmt: skip
    arguments = []
    for dialect, said in texts.items():
        scripts = scripted.in_pieces(said)
        if dialect == "chatml":
            scripts["endless"] = ["<tool_call>\n", '{"name": "weather", ', '"arguments": {"city": "', " lorem", " ipsum",
                                  {"back": 2}]  # fmt: skip
        arguments += ["--model", f"{dialect}={scripted.make(folder, dialect, scripts)}"]
    with harness.running(folder / "server", *arguments, MODEL_CACHE_SIZE="2", CONTEXT_TOKENS="8192") as server:
        yield server


def calls(*made) -> list[dict]:
    return [{"type": "tool_use", "name": name, "input": json.loads(text)} for name, text in made]


THOUGHT = [{"type": "thinking", "thinking": "Hm, <b> so.", "signature": "sutazai"}, {"type": "text", "text": "It is so."}]


def test_anthropics_client_for_javascript(clients, served):  # noqa: F811
    program = clients / "anthropic_client.mjs"  # finds its packages from there
    program.write_bytes((PROGRAMS / "anthropic_client.mjs").read_bytes())
    done = object_of("node", program, served.url, "chatml", "think")
    assert done["whole"] == done["streamed"]["content"] == calls(("weather", ROME), ("note", NOTE))
    assert done["streamed"]["reason"] == "tool_use" and done["streamed"]["usage"]["output_tokens"] > 0
    assert done["streamed"]["usage"]["input_tokens"] + done["streamed"]["usage"]["cache_read_input_tokens"] > 0
    assert done["thought"]["content"] == THOUGHT and done["thought"]["text"] == "It is so."
    assert done["counted"] > 50
    assert done["ran"] == {"asked": [json.loads(ROME)], "said": "It is warm."}
    assert {"chatml", "think"} <= set(done["names"]) and done["retrieved"] == "chatml"
    assert done["unknown"] == "404 not_found_error req_" and done["wrong"] == "400 invalid_request_error req_"
    assert done["aborted"] == "APIUserAbortError"


def test_langchains_anthropic(clients, served):  # noqa: F811
    program = PROGRAMS / "langchain_anthropic_client.py"
    done = object_of(clients / "venv/bin/python", program, served.url, "chatml", "think")
    assert done["said"] == done["streamed"] == done["awaited"] == "It is warm."
    assert done["calls"] == done["gathered"] == [["weather", json.loads(ROME)]]
    assert done["after"] == "It is warm."
    assert done["usage"]["input_tokens"] == done["gathered_usage"]["input_tokens"] == done["counted"]
    assert done["usage"]["output_tokens"] == done["gathered_usage"]["output_tokens"] > 0
    assert done["thought"] == THOUGHT and done["again"] == "Not a thought."


def test_litellm(clients, served):  # noqa: F811
    program = PROGRAMS / "litellm_client.py"
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}  # nothing is asked of the world
    done = object_of(clients / "venv/bin/python", program, served.url, "chatml", "think", **settings)
    made = [["weather", json.loads(ROME)]]
    for way in ("openai", "anthropic"):
        assert done[way] == {
            "said": "It is warm.", "tokens": [True, True], "streamed": "It is warm.", "streamed_calls": made,
            "tools": {"calls": made, "reason": "tool_calls", "after": "It is warm."}, "thought": "Hm, <b> so.",
            "awaited": "It is warm.", "unknown": "404"}  # fmt: skip


def test_instructor(clients, served):  # noqa: F811
    done = object_of(clients / "openai_2/bin/python", PROGRAMS / "instructor_client.py", served.url, "chatml")
    assert done == {way: json.loads(ROME) for way in ("tools", "awaited", "schema", "plain")}


def test_llama_index_by_openais_way(clients, served):  # noqa: F811
    done = object_of(clients / "openai_2/bin/python", PROGRAMS / "openai_like_client.py", served.url, "chatml")
    for way in ("completed", "streamed", "chat", "chat_streamed", "awaited"):
        assert done[way] == "It is warm.", way
    made = json.loads(ROME)
    assert done["calls"] == done["gathered"] == [["weather", made]]
    assert done["asked"] == [[made["city"], made["days"]]] and done["result"] == "22 degrees"
    assert done["tokens"]


def test_an_agent_with_an_mcp_server(clients, served):  # noqa: F811
    server = clients / "node_modules/.bin/mcp-server-everything"
    done = object_of(clients / "venv/bin/python", PROGRAMS / "mcp_client.py", served.url, "chatml", server, "stdio")
    assert "echo" in done["tools"] and len(done["tools"]) > 5, "all of its tools were offered to the model"
    for client in ("anthropic", "openai"):
        assert done[client] == {"gave": ["Echo: Is it warm? #after"], "said": "Yes, it is warm."}
