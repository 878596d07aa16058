"""Models that compute what is no number (NaN, infinite): an error that names the input, never text or `nan`."""

import json
import shutil

import pytest

import damage
import harness
from test_batch import BATCH_PATH
from test_warm_set import manage, model

GREEDY = {"temperature": 0, "max_tokens": 6, "ignore_eos": True}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, model_file):
    """A server whose model has NaN for the character ~ and is well apart from that."""
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "damaged.gguf"
    shutil.copy(model_file(), path)
    damage.fill_row(path, "token_embd.weight", ord("~"))
    with harness.running(folder / "server", "--model", f"damaged={path}") as server:
        yield server


def strictly(text: str):
    """Parsed JSON, in which NaN and infinities have no place."""

    def refuse(name):
        raise AssertionError(f"{name} in {text}")

    return json.loads(text, parse_constant=refuse)


def expect_no_numbers(response, field: str):
    assert response.status_code == 500, response.text
    error = strictly(response.text)["error"]
    assert "no numbers" in error["message"]
    assert field in json.dumps(error), error


@pytest.mark.parametrize("temperature", [0, 1])
def test_chats_are_refused_and_good_ones_go_on(damaged, temperature):
    body = {"model": "damaged", "max_tokens": 6, "temperature": temperature}
    expect_no_numbers(damaged.post(harness.COMPLETIONS_PATH, body | {"messages": harness.user("a ~ b")}), "messages")
    expect_no_numbers(damaged.post(harness.STREAM_PATH, body | {"messages": harness.user("~"), "stream": False}), "messages")
    assert damaged.chat("Hello", **GREEDY).usage["completion_tokens"] == 6


def test_of_several_prompts_the_wrong_one_is_named(damaged):
    body = {"model": "damaged", "prompt": ["one", "two ~"], **GREEDY}
    expect_no_numbers(damaged.post("/v1/completions", body), "prompt[1]")
    scored = {"model": "damaged", "prompt": "two ~ three", "echo": True, "logprobs": 2, "max_tokens": 0}
    expect_no_numbers(damaged.post("/v1/completions", scored), "prompt")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_an_embedding_names_its_input(damaged, encoding):
    body = {"model": "damaged", "encoding_format": encoding}
    expect_no_numbers(damaged.post("/v1/embeddings", body | {"input": ["one", "two", "a ~ b"]}), "input[2]")
    good = damaged.post("/v1/embeddings", body | {"input": ["one", "two"]})
    assert good.status_code == 200 and len(strictly(good.text)["data"]) == 2


def test_a_batch_fails_item_by_item(damaged):
    requests = [{"prompt": "one"}, {"prompt": "a ~ b"}, {"prompt": "three"}]
    response = damaged.post(BATCH_PATH, {"model": "damaged", "requests": requests, **GREEDY})
    assert response.status_code == 200
    results = strictly(response.text)["results"]
    assert [result["success"] for result in results] == [True, False, True]
    assert "no numbers" in json.dumps(results[1])
    assert "requests[1].prompt" in json.dumps(results[1])


def test_a_stream_ends_in_an_error_where_they_begin(damaged):
    before = "abc " * 50  # some of it is sent before the error comes
    forced = f'root ::= "{before}~def"'
    body = {"model": "damaged", "messages": harness.user("Hello"), "grammar": forced, "max_tokens": 300}
    for _ in range(5):
        with damaged.client.stream("POST", damaged.url + harness.COMPLETIONS_PATH, json=body | {"stream": True}) as response:
            events = harness.parse_sse(response.iter_raw())
        assert damaged.client.get(damaged.url + "/health").status_code == 200, "the connection goes on"
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert text == before + "~"
    assert "no numbers" in events[-1]["error"]["message"]


def test_the_model_shows_it_until_it_is_loaded_anew(damaged):
    damaged.post(harness.COMPLETIONS_PATH, {"model": "damaged", "messages": harness.user("~"), **GREEDY})
    assert "no numbers" in model(damaged, "damaged")["last_error"]
    assert damaged.chat("Hello", **GREEDY).text
    assert "no numbers" in model(damaged, "damaged")["last_error"], "a good answer does not mend the file"
    manage(damaged, "evict", models=["damaged"])
    manage(damaged, "warmup", models=["damaged"])
    assert model(damaged, "damaged")["last_error"] is None
