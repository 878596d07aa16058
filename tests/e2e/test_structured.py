"""response_format and grammar: a text that ended by itself follows its schema, whatever the model would rather say."""

import json
import re

import jsonschema
import openai
import pytest

import harness
from test_openai import client_of

#: Schemas that end soon, also when every choice is random.
SCHEMAS = {
    "object": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "kind": {"enum": ["cat", "dog", None]},
        },
        "required": ["name", "age", "kind"],
        "additionalProperties": False,
    },
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "nested": {
        "type": "object",
        "properties": {
            "points": {
                "type": "array",
                "items": {"$ref": "#/$defs/point"},
                "minItems": 1,
                "maxItems": 2,
            }
        },
        "required": ["points"],
        "additionalProperties": False,
        "$defs": {
            "point": {
                "type": "object",
                "properties": {"x": {"type": "integer", "minimum": -9, "maximum": 9}, "y": {"const": 1}},
                "required": ["x", "y"],
                "additionalProperties": False,
            }
        },
    },
    "choice": {"anyOf": [{"type": "string", "pattern": "^[a-c]{2,4}$"}, {"type": "null"}]},
}


@pytest.fixture
def client(server):
    with client_of(server) as one:
        yield one


def schema_format(schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_chat_follows_its_schema(client, name, temperature):
    ended = 0
    for seed in range(6):
        answer = client.chat.completions.create(
            model="toy", messages=harness.user(f"Question {seed}"), temperature=temperature, seed=seed, max_tokens=400,
            response_format=schema_format(SCHEMAS[name]),
        )  # fmt: skip
        choice = answer.choices[0]
        if choice.finish_reason == "stop":
            jsonschema.validate(json.loads(choice.message.content), SCHEMAS[name])
            ended += 1
    assert ended >= 3, "hardly any ended: the test shows nothing"


def test_streams_choices_and_logprobs_go_with_it(client):
    chunks = client.chat.completions.create(
        model="toy", messages=harness.user("Hello"), temperature=1.2, seed=4, max_tokens=400, n=3, stream=True,
        logprobs=True, response_format=schema_format(SCHEMAS["array"]),
    )  # fmt: skip
    texts, reasons = ["", "", ""], [None, None, None]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert reasons == ["stop"] * 3
    for text in texts:
        jsonschema.validate(json.loads(text), SCHEMAS["array"])


def test_json_object(client):
    for seed in range(6):
        choice = client.chat.completions.create(
            model="toy", messages=harness.user("Give me JSON"), temperature=1, seed=seed, max_tokens=300,
            response_format={"type": "json_object"},
        ).choices[0]  # fmt: skip
        assert choice.message.content.lstrip().startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)


def test_text_is_text(client):
    plain = client.chat.completions.create(model="toy", messages=harness.user("Hello"), temperature=0, max_tokens=8)
    client.chat.completions.create(
        model="toy", messages=harness.user("Hello"), temperature=0, max_tokens=8, response_format={"type": "text"}
    )
    assert plain.choices[0].message.content


def test_grammar_in_every_route(server, client):
    grammar = 'root ::= ("yes" | "no") " " [0-9]{3}'
    fields = {"temperature": 1, "max_tokens": 50, "grammar": grammar}
    body = {"temperature": 1, "max_tokens": 50, "extra_body": {"grammar": grammar}}
    texts = [
        client.completions.create(model="toy", prompt="Well?", **body).choices[0].text,
        client.chat.completions.create(model="toy", messages=harness.user("Well?"), **body).choices[0].message.content,
        server.chat("Well?", **fields).text,
        server.post("/api/v1/streaming/batch/process", {"model": "toy", "requests": [{"prompt": "Well?", **fields}]})
        .json()["results"][0]["response"],
    ]  # fmt: skip
    for text in texts:
        assert re.fullmatch("(yes|no) [0-9]{3}", text), texts


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": schema_format({"type": "nonsense"})}, "response_format"),
        ({"response_format": schema_format({"$ref": "#/$defs/nowhere"})}, "response_format"),
        ({"response_format": schema_format({"$ref": "https://example.org/x.json"})}, "response_format.json_schema.schema"),
        ({"response_format": schema_format({"type": "number", "minimum": 1})}, "response_format.json_schema.schema"),
        ({"response_format": schema_format({"type": "string", "pattern": "x"})}, "response_format.json_schema.schema"),
        ({"response_format": schema_format({"enum": ["x"] * 5000})}, "response_format.json_schema.schema"),
        ({"grammar": "root ::= nothing"}, "grammar"),
        ({"grammar": "root ::= " + "(" * 1000 + '"a"' + ")" * 1000}, "grammar"),
        ({"grammar": "x" * 70_000}, "grammar"),
        ({"grammar": 'root ::= "a"', "response_format": {"type": "json_object"}}, "grammar"),
    ],
)
def test_what_cannot_be_used_is_named(server, client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="toy", messages=harness.user("Hello"), max_tokens=4, extra_body=fields)
    assert caught.value.param == param
    assert server.chat("Hello", temperature=0, max_tokens=4, ignore_eos=True).usage["completion_tokens"] == 4


def test_the_demo_model_follows_a_schema(tmp_path):
    """A model with a real vocabulary of its own."""
    server = harness.Server(tmp_path / "demo")
    try:
        server.wait_for_ready()
        with client_of(server) as client:
            for name, schema in SCHEMAS.items():
                choice = client.chat.completions.create(
                    model="sutazai-demo", messages=harness.user("What does BATCH_SIZE do?"), temperature=1, seed=1,
                    max_tokens=300, response_format=schema_format(schema),
                ).choices[0]  # fmt: skip
                if choice.finish_reason == "stop":
                    jsonschema.validate(json.loads(choice.message.content), schema)
        server.stop()
    finally:
        server.kill()
