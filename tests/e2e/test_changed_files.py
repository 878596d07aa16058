"""The file of a warm model changes: renamed over, copied over in place, gone."""

import json
import os
import shutil

import httpx
import pytest

import harness

SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}
MANAGE = "/api/v1/streaming/cache/manage"


class Swap:
    """A server whose model "m" is a file that the test may change into another model of the same size."""

    def __init__(self, start_server, model_file, folder, **environment):
        self.old, self.new = model_file(1, context=int(harness.ENDLESS)), model_file(2, context=int(harness.ENDLESS))
        assert self.old.stat().st_size == self.new.stat().st_size
        self.path = folder / "m.gguf"
        shutil.copy(self.old, self.path)
        self.server = start_server("--model", f"m={self.path}", CONTEXT_TOKENS=harness.ENDLESS, **environment)
        reference = start_server("--model", f"old={self.old}", "--model", f"new={self.new}", CONTEXT_TOKENS=harness.ENDLESS,
                                 CACHE_ARTIFACT_BYTES="0")  # fmt: skip
        self.old_text = reference.chat("Hello", model="old", **SHORT).text
        self.new_text = reference.chat("Hello", model="new", **SHORT).text
        assert self.old_text != self.new_text
        reference.stop()

    def text(self) -> str:
        return self.server.chat("Hello", model="m", **SHORT).text

    def rename_over(self) -> None:
        fresh = self.path.with_suffix(".fresh")
        shutil.copy(self.new, fresh)
        os.rename(fresh, self.path)

    def write_in_place(self) -> None:
        with open(self.path, "r+b") as file:
            file.write(self.new.read_bytes())

    def copy_over(self) -> None:
        shutil.copyfile(self.new, self.path)  # cuts the file to nothing first

    def status(self) -> dict:
        models = self.server.post(MANAGE, {"action": "status"}).json()["models"]
        return next(model for model in models if model["name"] == "m")


@pytest.fixture
def swap(start_server, model_file, tmp_path):
    return Swap(start_server, model_file, tmp_path)


def test_renamed_over_the_next_request_gets_the_new_weights(swap):
    assert swap.text() == swap.old_text
    swap.rename_over()
    harness.wait_until("the status says so", lambda: swap.status()["file_note"] == "changed on disk")
    listed = harness.run_binary("cache", "status", "--url", swap.server.url, folder=swap.server.folder).stdout
    assert "warm, changed on disk" in listed
    assert swap.text() == swap.new_text
    assert swap.status()["file_note"] is None
    harness.wait_until("the old engine is gone", lambda: len(swap.server.engines()) == 1)
    engine = swap.server.only_engine()
    assert swap.text() == swap.new_text
    assert swap.server.only_engine() == engine, "once"


def test_a_warm_up_loads_it_anew(swap):
    swap.rename_over()
    result = swap.server.post(MANAGE, {"action": "warmup", "models": ["m"]}).json()
    assert result["success"] is True
    assert result["results"][0]["message"] == "is warm, loaded anew"
    assert swap.text() == swap.new_text


@pytest.mark.parametrize("how", ["write_in_place", "copy_over"])
def test_written_in_place_while_idle_the_next_request_gets_the_new_weights(swap, how):
    assert swap.text() == swap.old_text
    getattr(swap, how)()
    assert swap.text() == swap.new_text


@pytest.mark.parametrize("how", ["write_in_place", "copy_over"])
def test_a_running_answer_is_never_mixed(swap, how):
    """Weights are mapped: what is computed from here on is of neither model, so the answer must end with an error."""
    with swap.server.stream("Hello", model="m", temperature=0, max_tokens=100000, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        while next(events)["type"] != "chunk":
            pass
        getattr(swap, how)()
        last = None
        try:
            for event in events:
                last = event
        except httpx.HTTPError:
            pytest.fail("the stream broke off without a word")
    assert last["type"] == "error", last
    assert "file" in json.dumps(last["error"]), last
    assert swap.text() == swap.new_text
    # Nothing that the mixture computed is kept.
    assert swap.server.chat("Hello", model="m", **SHORT).text == swap.new_text


def test_running_answers_finish_with_the_weights_that_they_began_with(swap):
    with swap.server.stream("Hello", model="m", temperature=0, max_tokens=60, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        got = [next(events)]
        swap.rename_over()
        got += list(events)
    assert got[-1]["type"] == "complete"
    assert "".join(event["content"] for event in got if event["type"] == "chunk").startswith(swap.old_text)
    assert swap.text() == swap.new_text


def test_a_new_file_does_not_wait_for_a_long_answer(swap):
    with swap.server.stream("Hello", model="m", temperature=0, max_tokens=100000, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        next(events)
        swap.rename_over()
        assert swap.text() == swap.new_text
        assert len(swap.server.engines()) == 2
        assert next(events)["type"] == "chunk", "the old one goes on"
    harness.wait_until("the old engine is gone", lambda: len(swap.server.engines()) == 1)
    assert swap.text() == swap.new_text


def test_a_broken_new_file_leaves_the_old_model(swap):
    fresh = swap.path.with_suffix(".fresh")
    fresh.write_bytes(swap.new.read_bytes()[:-1000])
    os.rename(fresh, swap.path)
    assert swap.text() == swap.old_text
    assert "changed on disk, and cannot be loaded: the file is truncated" in swap.status()["file_note"]
    swap.rename_over()
    assert swap.text() == swap.new_text


def test_artifacts_are_of_the_weights_that_made_them(start_server, model_file, tmp_path):
    """The digest that names artifacts must be that of the weights which are loaded."""
    swap = Swap(start_server, model_file, tmp_path)
    prompt = "word " * 400
    old = swap.server.chat(prompt, model="m", **SHORT)
    swap.server.post(MANAGE, {"action": "save"})
    swap.rename_over()
    new = swap.server.chat(prompt, model="m", **SHORT)
    assert new.usage["prompt_tokens_details"]["cached_tokens"] == 0, "nothing of the other weights fits"
    assert new.text != old.text
