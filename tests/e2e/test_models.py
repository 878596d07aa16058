"""Models by name, the warm set and its limit."""

import concurrent.futures
import shutil

import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


def test_a_folder_of_models(start_server, model_file, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(model_file(1), folder / "first.gguf")
    shutil.copy(model_file(2), folder / "second-q8_0.gguf")
    (folder / "notes.txt").write_text("not a model")
    server = start_server("--models-dir", str(folder), CACHE_WARMUP_ON_STARTUP="false")

    def names():
        return {model["id"] for model in server.client.get(server.url + "/v1/models").json()["data"]}

    assert {"first", "second-q8_0"} <= names()
    assert "notes" not in names()
    first = server.chat("Hello", model="first", **SHORT)
    second = server.chat("Hello", model="second-q8_0", **SHORT)
    assert first.text != second.text

    shutil.copy(model_file(1), folder / "third.gguf")
    assert "third" in names(), "a file put there while the server runs is found"
    assert server.chat("Hello", model="third", **SHORT).text == first.text


def test_several_models_stay_warm(start_server, model_file):
    arguments = [text for i in (1, 2, 3) for text in ("--model", f"m{i}={model_file(i)}")]
    server = start_server(*arguments, MODEL_CACHE_SIZE="3")
    texts = {name: server.chat("Hello", model=name, **SHORT).text for name in ("m1", "m2", "m3")}
    assert len(set(texts.values())) == 3
    engines = server.engines()
    assert len(engines) == 3
    for name in ("m3", "m1", "m2", "m1"):
        assert server.chat("Hello", model=name, **SHORT).text == texts[name]
    assert server.engines() == engines, "no engine was started or ended"


def test_streams_of_several_models_run_side_by_side(start_server, model_file):
    server = start_server("--model", f"m1={model_file(1)}", "--model", f"m2={model_file(2)}", MODEL_CACHE_SIZE="2")
    fields = {"temperature": 0, "max_tokens": 150, "ignore_eos": True}
    # The beginning tells the models apart; further on near ties can fall differently in a batch.
    alone = {name: server.chat("Hello", model=name, **fields).text[:40] for name in ("m1", "m2")}
    assert alone["m1"] != alone["m2"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [(name, pool.submit(server.chat, "Hello", model=name, **fields)) for name in ["m1", "m2"] * 4]
        for name, answer in answers:
            assert answer.result().text[:40] == alone[name]


def test_the_least_recently_used_model_makes_room(start_server, model_file):
    arguments = [text for i in (1, 2, 3) for text in ("--model", f"m{i}={model_file(i)}")]
    server = start_server(*arguments, MODEL_CACHE_SIZE="2", CACHE_WARMUP_ON_STARTUP="false")
    server.chat("Hello", model="m1", **SHORT)
    first = server.only_engine()
    server.chat("Hello", model="m2", **SHORT)
    (second,) = set(server.engines()) - {first}
    server.chat("Hello", model="m1", **SHORT)
    server.chat("Hello", model="m3", **SHORT)
    harness.wait_until("the engine of m2 has ended", lambda: not harness.is_running(second))
    assert first in server.engines()
    assert len(server.engines()) == 2


def test_one_place_for_two_models(start_server, model_file):
    arguments = ["--model", f"m1={model_file(1)}", "--model", f"m2={model_file(2)}"]
    server = start_server(*arguments, MODEL_CACHE_SIZE="1")
    expected = {name: server.chat("Hello", model=name, **SHORT).text for name in ("m1", "m2")}
    for name in ("m1", "m2", "m1"):
        assert server.chat("Hello", model=name, **SHORT).text == expected[name]
        harness.wait_until("one engine is left", lambda: len(server.engines()) == 1)


def test_a_busy_model_is_not_evicted(start_server, model_file):
    """The running stream ends whole; the other model waits for it, or is refused, but is never given its place."""
    arguments = ["--model", f"m1={model_file(1)}", "--model", f"m2={model_file(2)}"]
    server = start_server(*arguments, MODEL_CACHE_SIZE="1")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server.stream("Hello", model="m1", temperature=0, max_tokens=1500, ignore_eos=True) as response:
            events = harness.iterate_sse(response.iter_raw())
            next(events), next(events)
            other = pool.submit(server.chat, "Hello", model="m2", **SHORT)
            rest = list(events)
        assert rest[-1]["type"] == "complete"
        assert rest[-1]["usage"]["completion_tokens"] == 1500
        assert other.result().usage["completion_tokens"] == 8


def test_many_requests_for_a_cold_model_load_it_once(start_server, model_file):
    server = start_server("--model", f"m1={model_file(1)}", CACHE_WARMUP_ON_STARTUP="false")
    assert server.engines() == []
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(server.chat, "Hello", **SHORT) for _ in range(12)]
        assert len({answer.result().text for answer in answers}) == 1
    assert len(server.engines()) == 1


def test_the_start_warms_the_model(start_server, toy):
    server = start_server("--model", toy, CACHE_WARMUP_ON_STARTUP="true")
    assert len(server.engines()) == 1, "ready means that a model is warm"
