"""/v1/embeddings, by the official client."""

import base64
import concurrent.futures
import math
import struct

import openai
import pytest

import harness
from test_openai import client_of


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    """The --model argument of a small encoder of random weights."""
    folder = tmp_path_factory.mktemp("bert")
    made = harness.run_binary("model", "synth", "--preset", "toy-bert", "--quant", "f32", "--output",
                              str(folder / "bert.gguf"), folder=folder)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return f"bert={folder / 'bert.gguf'}"


@pytest.fixture(scope="module")
def both(tmp_path_factory, toy, bert):
    """A server with the generative model "toy" and the encoder "bert"."""
    with harness.running(tmp_path_factory.mktemp("embeddings"), "--model", toy, "--model", bert) as server:
        yield server


@pytest.fixture
def client(both):
    with client_of(both) as one:
        yield one


def cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a, b))


@pytest.mark.parametrize("model, width", [("toy", 128), ("bert", 64)])
def test_vectors_have_length_one(client, model, width):
    answer = client.embeddings.create(model=model, input="Hello world")
    assert answer.object == "list"
    assert answer.model == model
    vector = answer.data[0].embedding
    assert len(vector) == width
    assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-4)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


@pytest.mark.parametrize("model", ["toy", "bert"])
def test_many_inputs_give_what_each_gives_alone(client, model):
    inputs = ["word " * (1 + i * 7 % 60) + str(i) for i in range(100)]
    together = client.embeddings.create(model=model, input=inputs)
    assert [entry.index for entry in together.data] == list(range(100))
    for i in range(0, 100, 9):
        alone = client.embeddings.create(model=model, input=inputs[i])
        assert cosine(alone.data[0].embedding, together.data[i].embedding) > 0.999
    assert cosine(together.data[0].embedding, together.data[1].embedding) < 0.999


def test_token_ids(client):
    one = client.embeddings.create(model="toy", input=[72, 101, 108])
    several = client.embeddings.create(model="toy", input=[[72, 101, 108], [111]])
    assert one.usage.prompt_tokens == 3
    assert several.usage.prompt_tokens == 4
    assert cosine(one.data[0].embedding, several.data[0].embedding) > 0.999


def test_both_encodings_say_the_same(both):
    body = {"model": "bert", "input": "Hello world"}
    floats = both.post("/v1/embeddings", body | {"encoding_format": "float"}).json()["data"][0]["embedding"]
    text = both.post("/v1/embeddings", body | {"encoding_format": "base64"}).json()["data"][0]["embedding"]
    raw = base64.b64decode(text, validate=True)
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(floats, abs=1e-6)


def test_dimensions(client):
    whole = client.embeddings.create(model="toy", input="Hello").data[0].embedding
    short = client.embeddings.create(model="toy", input="Hello", dimensions=16).data[0].embedding
    assert len(short) == 16
    assert math.isclose(cosine(short, short), 1, abs_tol=1e-4)
    scale = math.sqrt(sum(x * x for x in whole[:16]))
    assert [x * scale for x in short] == pytest.approx(whole[:16], abs=1e-4)


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", "word " * 20_000]}, "input[1]"),
        ({"input": [10**6]}, "input"),
        ({"dimensions": 129}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input": ["a"] * 1025}, "input"),
    ],
)
def test_what_is_wrong_is_named(client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(**({"model": "toy", "input": "Hello"} | fields))
    assert caught.value.param == param


def test_an_encoder_writes_no_text(both, client):
    for ask in (
        lambda: client.chat.completions.create(model="bert", messages=harness.user("Hello")),
        lambda: client.completions.create(model="bert", prompt="Hello"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            ask()
        assert caught.value.param == "model"
        assert "embeddings" in str(caught.value)
    assert client.embeddings.create(model="bert", input="still there").data


def test_streams_go_on_meanwhile(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    with client_of(server) as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.stream("Hello", temperature=0, max_tokens=100_000, ignore_eos=True) as response:
            events = harness.iterate_sse(response.iter_raw())
            for _ in range(3):
                next(events)
            done = pool.submit(client.embeddings.create, model="endless", input=["word " * 400] * 40)
            n = 0
            while not done.done():
                assert next(events)["type"] == "chunk"
                n += 1
            assert len(done.result().data) == 40
            assert n > 20
    assert server.chat("Hello", temperature=0, max_tokens=4, ignore_eos=True).usage["completion_tokens"] == 4
