"""Programs that others have made for OpenAI's Responses API, as they are, against this server: the OpenAI Agents SDK,
OpenAI's client for JavaScript and the Vercel AI SDK. (OpenAI's client for Python is in test_responses.py.)"""

import shutil

import pytest

import harness
import scripted
from test_ollama_clients import PROGRAMS, clients, object_of  # noqa: F401
from test_tools import CASES, NOTE, ROME

MORE = {"again": "And it stays so.", "person": '{"name": "Ada", "age": 36}'}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripted")
    arguments = []
    for dialect, more in {"chatml": MORE, "think": {}}.items():
        texts = {key: case[0] for key, case in CASES[dialect].items()} | more
        arguments += ["--model", f"{dialect}={scripted.make(folder, dialect, scripted.in_pieces(texts))}"]
    with harness.running(folder / "server", *arguments) as server:
        yield server


def test_the_agents_sdk(clients, served):  # noqa: F811
    told = object_of(clients / "agents/bin/python", PROGRAMS / "agents_client.py", served.url, "chatml",
                     PYTHONWARNINGS="ignore")  # fmt: skip
    for way in ("looped", "streamed", "stored", "stateless"):
        assert told[way] == "It is warm.", way
    assert told["calls"] == 2 and told["tokens"] > 0
    assert told["session"] == ["It is warm.", MORE["again"]]
    rome = {"city": "Rome", "days": 2}
    assert told["asked"] == [rome, rome, {"text": 'a } b " <c> \u00e9 é'}, rome, rome]
    assert told["kinds"].count("response.function_call_arguments.done") == 2
    assert told["kinds"].count("response.completed") == 2
    assert served.client.get(f"{served.url}/v1/responses/{told['last']}").json()["previous_response_id"]


def test_openais_client_for_javascript(clients, served):  # noqa: F811
    program = shutil.copy(PROGRAMS / "openai_client.mjs", clients / "openai")  # Node looks for modules beside it
    told = object_of("node", program, served.url, "chatml")
    assert (told["text"], told["next"], told["kept"]) == ("It is warm.", MORE["again"], {"a": "b"})
    assert told["items"] == ["message", "message", "message"]
    assert told["parsed"] == {"name": "Ada", "age": 36}
    assert told["streamed"]["deltas"] == told["streamed"]["call"] == ROME and told["streamed"]["whole"]
    assert told["streamed"]["types"][-1] == "response.completed"
    assert told["background"] == {"status": "completed", "again": 3, "cancelled": "completed"}
    assert told["counted"] == told["used"]
    assert (told["refused"], told["gone"]) == ("400 tools[0].type", "404 null")


def test_the_vercel_ai_sdk(clients, served):  # noqa: F811
    program = shutil.copy(PROGRAMS / "ai_sdk_client.mjs", clients / "openai")
    told = object_of("node", program, served.url, "chatml", "think")
    assert told["looped"] == told["streamed"] == "It is warm."
    assert (told["steps"], told["streamed_steps"]) == (2, 2)
    assert told["thoughtful"] == "It is so."
    assert told["asked"] == [{"city": "Rome", "days": 2}] * 2
    assert told["used"] > 0
