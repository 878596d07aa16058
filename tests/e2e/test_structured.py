"""response_format and grammar: a text that ended by itself follows its schema, whatever the model would rather say."""

import json
import math
import pathlib
import re
import threading
import time
from random import Random

import httpx
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


SCHEMA_FIELD = "response_format.json_schema.schema"


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
        ({"response_format": {"type": "json_object", "foo": 1}}, "response_format.foo"),
        ({"response_format": schema_format({"type": "nonsense"})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"$ref": "#/$defs/nowhere"})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"$ref": "https://example.org/x.json"})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"type": "number", "multipleOf": 0.1})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"type": "string", "pattern": "(?=x)"})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"type": "integer", "minimum": 10**30})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"enum": ["x"] * 5000})}, SCHEMA_FIELD),
        ({"response_format": schema_format({"type": "array", "items": False, "minItems": 1})}, "response_format"),
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


DOCS = pathlib.Path(__file__).parents[2] / "docs" / "structured-output.md"


def deep(levels: int) -> dict:
    return {"items": deep(levels - 1)} if levels > 1 else {}


NUMBERED = {"$defs": {"both": {"allOf": [{"enum": list(range(2000))}, {"enum": list(range(2000, 4000))}]}}}
COUNTED = {"$defs": {"o": {"type": "object", "properties": {str(i): {} for i in range(80)}, "additionalProperties": False,
                           "maxProperties": 79}}}  # fmt: skip


def refer(defs: dict, to: str, times: int) -> dict:
    """A schema that holds another so many times, each time as another one."""
    return {**defs, "prefixItems": [{"$ref": f"#/$defs/{to}", "title": str(i)} for i in range(times)]}


#: What is just past each limit; the field (the engine, which refuses what takes long to see, knows of the first part
#: alone), and the limit as it is documented and as it is told.
LIMITS = {
    "depth": (schema_format(deep(30)), "", "32 levels"),
    "bytes of a schema": (schema_format({"const": "x" * 66_000}), SCHEMA_FIELD, "65,536 bytes"),
    "bytes of a grammar": ("x" * 66_000, "grammar", "65,536 bytes"),
    "values": (schema_format({"enum": [0] * 5000}), SCHEMA_FIELD, "4,096 values"),
    "fields": (schema_format({"properties": {str(i): {} for i in range(257)}}), SCHEMA_FIELD, "256 fields"),
    "numbers": (schema_format({"const": math.inf}), SCHEMA_FIELD, "1.8e308"),
    "bytes of a pattern": (schema_format({"pattern": "x" * 513}), SCHEMA_FIELD, "512 bytes"),
    "groups": (schema_format({"pattern": "(" * 33 + ")" * 33}), SCHEMA_FIELD, "32"),
    "parentheses": ("root ::= " + "(" * 65 + '"a"' + ")" * 65, "grammar", "64"),
    "schemas": (
        schema_format({"allOf": [{"anyOf": [{"required": [f"{k}{i}"]} for k in "ab"]} for i in range(20)]}),
        "response_format", "32,768 schemas",
    ),
    "rules": (schema_format(refer(COUNTED, "o", 3)), "response_format", "8,192 rules"),
    "ways to count": (
        schema_format({"type": "object", "properties": {str(i): {} for i in range(120)}, "additionalProperties": False,
                       "maxProperties": 110}),
        SCHEMA_FIELD, "8,192 ways",
    ),
    "strings": (schema_format({"pattern": "^a", "enum": ["a"] * 65}), SCHEMA_FIELD, "64"),
    "states": ("root ::= " + ". " * 30_000, "grammar", "524,288 states"),
    "work": (schema_format(refer(NUMBERED, "both", 14)), "response_format", "40,000,000 units"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_told_and_documented(server, name):
    wanted, field, limit = LIMITS[name]
    fields = {"grammar": wanted} if isinstance(wanted, str) else {"response_format": wanted}
    body = json.dumps({"model": "toy", "messages": harness.user("Hello"), "max_tokens": 2, **fields})
    answer = httpx.post(server.url + harness.COMPLETIONS_PATH, content=body.replace("Infinity", "1e400"), timeout=60 * harness.SLOWDOWN,
                        headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"] or "") == field and error["message"].startswith(field or "The body"), error
    assert limit.split()[0].replace(",", "") in error["message"], error
    assert limit in DOCS.read_text(), "not in docs/structured-output.md"


def test_what_is_just_within_a_limit_is_taken(server):
    for schema in (deep(29), {"pattern": "(" * 32 + ")" * 32}, {"pattern": "^" + "x" * 511}):
        body = {"model": "toy", "messages": harness.user("Hello"), "max_tokens": 2, "response_format": schema_format(schema)}
        assert server.post(harness.COMPLETIONS_PATH, body).status_code == 200, schema


def test_a_wrong_pattern_is_not_called_unsupported(server):
    def message(pattern: str) -> str:
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
        body = {"model": "toy", "messages": harness.user("Hello"), "response_format": schema_format(schema)}
        return server.post(harness.COMPLETIONS_PATH, body).json()["error"]["message"]

    for pattern, place in (("[", 1), ("a{2,1}", 2), ("(?<", 4)):
        assert f"{SCHEMA_FIELD} has a pattern that is no regular expression at #/properties/a: " in message(pattern)
        assert message(pattern).endswith(f", at character {place}")
    for pattern, name in (("(?=a)", "a lookahead"), ("(a)\\1", "a reference back"), ("\\ba", "a word boundary")):
        assert message(pattern) == f"{SCHEMA_FIELD} uses a pattern with {name} at #/properties/a, which is not supported"


def test_a_cut_character_is_left_out(server):
    """In streams, whole answers and batches; a grammar of nothing but characters of several bytes makes cuts sure."""
    grammar = 'root ::= [\u4e00-\u9fff🙂é]{40}'
    batch = [{"prompt": "Well?", "max_tokens": n, "temperature": 1.5, "seed": n, "grammar": grammar} for n in range(1, 13)]
    texts = []
    for fields in batch:
        body = {"model": "toy", **fields, "logprobs": 0}
        choice = server.post("/v1/completions", body).json()["choices"][0]
        assert choice["finish_reason"] == "length"
        assert len(choice["logprobs"]["tokens"]) == fields["max_tokens"]
        texts.append(choice["text"])
        streamed = server.chat("Well?", **{key: value for key, value in fields.items() if key != "prompt"})
        texts.append(streamed.text)
    results = server.post("/api/v1/streaming/batch/process", {"model": "toy", "requests": batch}).json()["results"]
    texts += [result["response"] for result in results]
    assert any(texts)
    for text in texts:
        assert "\ufffd" not in text


#: Names and bounds that once became other rules, or other numbers.
TREACHEROUS = [
    {
        "$defs": {"订单": {"type": "integer", "minimum": 0, "maximum": 99}, "客户": {"type": "string", "maxLength": 4}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/订单"}, "b": {"$ref": "#/$defs/客户"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "date_time": {"const": 1},
            "created": {"type": "string", "format": "date-time"},
            "integral_part": {"type": "boolean"},
            "decimal_part": {"type": "null"},
            "n": {"type": "number", "minimum": 0.5, "maximum": 2},
        },
        "required": ["date_time", "created", "integral_part", "decimal_part", "n"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"": {"type": "integer", "minimum": 1, "maximum": 9}, "\\d": {"type": "boolean"}},
        "required": ["", "\\d"],
        "additionalProperties": {"type": "null"},
        "maxProperties": 3,
    },
    {"type": "integer", "minimum": 0, "maximum": 18446744073709551615},
    {"type": "string", "minLength": 1, "maxLength": 4294967296, "enum": ["a", "日本", ""]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2.0, "maxItems": 3.0},
]


@pytest.mark.parametrize("schema", TREACHEROUS, ids=range(len(TREACHEROUS)))
def test_names_and_bounds_are_what_they_say(client, schema):
    ended = 0
    for seed in range(5):
        choice = client.chat.completions.create(
            model="toy", messages=harness.user(f"Question {seed}"), temperature=1.2, seed=seed, max_tokens=600,
            response_format=schema_format(schema),
        ).choices[0]  # fmt: skip
        if choice.finish_reason == "stop":
            jsonschema.validate(json.loads(choice.message.content), schema)
            ended += 1
    assert ended >= 2, "hardly any ended: the test shows nothing"


def random_schema(random, depth: int) -> dict:
    """A schema that is met soon, also by a model that says anything."""
    kinds = ["integer", "number", "string", "pattern", "enum", "boolean", "null", "date"]
    kinds += ["array", "object", "object", "anyOf", "allOf"] * (depth > 0)
    kind = random.choice(kinds)
    low = random.randint(-30, 30)
    if kind in ("integer", "number"):
        keyword = random.choice(["", "exclusive"])
        upper, lower = ("exclusiveMaximum", "exclusiveMinimum") if keyword else ("maximum", "minimum")
        return {"type": kind, lower: low, upper: low + random.choice([2, 9, 400])}
    if kind == "string":
        return {"type": "string", "minLength": random.randint(0, 2), "maxLength": random.randint(2, 6)}
    if kind == "pattern":
        return {"type": "string", "pattern": random.choice(["^[a-c]{1,3}$", "^(x|yz)?[0-9]$", "^.{2}$", "^\\\\d[^a]$"])}
    if kind == "enum":
        return {"enum": random.sample([1, -2.5, "a", "ü", None, True, [1], {"k": "v"}], 3)}
    if kind == "date":
        return {"type": "string", "format": "date"}
    if kind == "array":
        least = random.randint(0, 2)
        return {"type": "array", "items": random_schema(random, depth - 1), "minItems": least, "maxItems": least + 1}
    if kind == "object":
        names = random.sample(["a", "b", "name", "a b", "", '"', "\\n", "日"], random.randint(1, 3))
        properties = {name: random_schema(random, depth - 1) for name in names}
        required = [name for name in names if random.random() < 0.6]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if kind == "anyOf":
        return {"anyOf": [random_schema(random, depth - 1) for _ in range(2)]}
    if kind == "allOf":
        return {"allOf": [{"type": ["integer", "string", "null"]}, {"maxLength": 2}, {"minimum": 3, "maximum": 70}]}
    return {"type": kind}


def test_texts_meet_random_schemas(client):
    """What Python's own validator makes of what is written to schemas of every kind."""
    random = Random(20261126)
    ended = 0
    for seed in range(60):
        schema = random_schema(random, 2)
        jsonschema.Draft202012Validator.check_schema(schema)
        choice = client.chat.completions.create(
            model="toy", messages=harness.user("Well?"), temperature=1.3, seed=seed, max_tokens=300,
            response_format=schema_format(schema),
        ).choices[0]  # fmt: skip
        if choice.finish_reason == "stop":
            value = json.loads(choice.message.content)
            jsonschema.validate(value, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            ended += 1
    assert ended >= 40, "hardly any ended: the test shows nothing"


def test_seeds_do_not_wrap(client):
    def text_of(seed: int) -> str:
        return client.chat.completions.create(
            model="toy", messages=harness.user("Hello"), temperature=1.5, seed=seed, max_tokens=12,
            extra_body={"ignore_eos": True},
        ).choices[0].message.content  # fmt: skip

    assert text_of(2**32) == text_of(2**32)
    assert len({text_of(seed) for seed in (0, 2**32, 2**33, 2**62)}) == 4


#: Each made every stream of its model wait for half a minute and more.
HOSTILE = {
    "60 letters": {"grammar": "root ::= " + "[a-zA-Z ,.]? " * 60},
    "300 letters": {"grammar": "root ::= " + "[a-zA-Z ,.]? " * 300},
    "nested": {"grammar": 'root ::= ((("a" | [b-z ])?){50}){40}'},
    "ambiguous": {"grammar": 'root ::= s\ns ::= [a-z ] s s | ""'},
    "pattern": {"response_format": schema_format({"type": "string", "pattern": "^" + "[a-z ]?" * 40 + "$"})},
}


@pytest.fixture(scope="module")
def large_vocabulary(tmp_path_factory):
    """A server with a model that costs next to nothing, but for its 151,936 tokens."""
    folder = tmp_path_factory.mktemp("large-vocabulary")
    path = folder / "model.gguf"
    made = harness.run_binary("model", "synth", "--preset", "toy-qwen2", "--output", str(path), folder=folder)
    assert made.returncode == 0, made.stderr
    with harness.running(folder / "home", "--model", f"wide={path}") as server:
        yield server


def test_other_streams_do_not_feel_hostile_grammars(large_vocabulary):
    server = large_vocabulary
    done, failures = threading.Event(), []

    def ask_hostile(fields: dict) -> None:
        while not done.is_set():
            body = {"messages": harness.user("Well?"), "temperature": 1.5, "max_tokens": 40, "stream": False, **fields}
            answer = httpx.post(server.url + harness.STREAM_PATH, json=body, timeout=60 * harness.SLOWDOWN)
            # It answers, or says why it cannot.
            if answer.status_code != 200 and "ambiguous" not in answer.text:
                failures.append(answer.text)
                return

    threads = [threading.Thread(target=ask_hostile, args=(fields,)) for fields in HOSTILE.values()]
    gaps, last = [], None
    try:
        for thread in threads:
            thread.start()
        with server.stream("Tell me", max_tokens=150, ignore_eos=True, temperature=0) as response:
            assert response.status_code == 200
            for _ in response.iter_raw():
                now = time.monotonic()
                if last is not None:
                    gaps.append(now - last)
                last = now
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]
    assert len(gaps) > 20
    assert max(gaps) < 2 * harness.SLOWDOWN, f"a stream stood still for {max(gaps):.1f} s"


def test_a_grammar_that_takes_too_long_ends_its_request_alone(large_vocabulary):
    """Lists of returns that grow with the text: past its budget the request says so."""
    server = large_vocabulary
    grammar = 'root ::= s s s\ns ::= ([a-z ] s s | [a-z] [a-z ] s s s | [a-z ,]*)*'
    body = {"messages": harness.user("Well?"), "temperature": 1.5, "max_tokens": 400, "stream": False, "grammar": grammar}
    answer = server.post(harness.STREAM_PATH, body, timeout=120 * harness.SLOWDOWN)
    if answer.status_code != 200:
        assert "grammar is too ambiguous" in answer.text and "800000 looks at a state" in answer.text
    assert "800,000 looks at a state" in DOCS.read_text()
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


def test_nobody_waits_while_schemas_are_read(server):
    """Twenty that take a sixth of a second each, before they are refused: none of it on the way of others."""
    numbers = {f"q{i}": {"type": "integer"} for i in range(20)}
    variants = [{"type": "object", "properties": {"k": {"const": f"v{i}"}, **numbers}, "required": ["k"]}
                for i in range(60)]  # fmt: skip
    body = {"messages": harness.user("Hello"), "max_tokens": 2, "response_format": schema_format({"oneOf": variants})}
    statuses = []

    def ask():
        statuses.append(httpx.post(server.url + harness.COMPLETIONS_PATH, json=body, timeout=60 * harness.SLOWDOWN).status_code)

    askers = [threading.Thread(target=ask) for _ in range(20)]
    for asker in askers:
        asker.start()
    waits = []
    while any(asker.is_alive() for asker in askers):
        begun = time.monotonic()
        assert server.client.get(server.url + "/health").status_code == 200
        waits.append(time.monotonic() - begun)
    assert statuses == [400] * 20
    assert max(waits) < 0.3 * harness.SLOWDOWN, f"{max(waits):.2f} s"
