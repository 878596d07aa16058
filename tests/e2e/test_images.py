"""Images in every API family: the same image is encoded and computed once, and none ends an engine."""

import concurrent.futures
import os
import random
import signal

import anthropic
import openai
import pytest

import harness
from pictures import base64_of, png, seeing_folder, seen, url_of

GREEDY = {"temperature": 0, "max_tokens": 12, "ignore_eos": True}
ROWS = 16  # tokens that an image is for the projector of the tests


@pytest.fixture(scope="module")
def served(tmp_path_factory, model_file):
    folder = seeing_folder(tmp_path_factory.mktemp("images"), model_file())
    with harness.running(folder / "server", MODELS_DIR=str(folder), CACHE_WARMUP_ON_STARTUP="false") as server:
        yield server


def ask(server, messages, model: str = "toy", **more):
    return server.post(harness.COMPLETIONS_PATH, {"model": model, "messages": messages, **GREEDY, **more})


def text_and_usage(response) -> tuple[str, dict]:
    assert response.status_code == 200, response.text
    answer = response.json()
    return answer["choices"][0]["message"]["content"], answer["usage"]


def cached(usage: dict) -> int:
    return usage["prompt_tokens_details"]["cached_tokens"]


def test_the_same_image_is_shared_and_another_is_not(served):
    first, cold = text_and_usage(ask(served, seen(png(11))))
    again, warm = text_and_usage(ask(served, seen(png(11))))
    assert again == first
    assert warm["prompt_tokens"] == cold["prompt_tokens"]
    assert cached(warm) == warm["prompt_tokens"] - 1
    other, usage = text_and_usage(ask(served, seen(png(12))))
    assert other != first
    # What stands before the image is shared; nothing of the image is.
    assert usage["prompt_tokens"] == cold["prompt_tokens"]
    assert cached(usage) <= usage["prompt_tokens"] - ROWS - 1
    # Behind a shared image another question is computed anew.
    _, usage = text_and_usage(ask(served, seen(png(11), text="And this?")))
    assert ROWS <= cached(usage) < usage["prompt_tokens"] - 1


def test_an_image_counts_as_the_tokens_that_it_is(served):
    _, without = text_and_usage(ask(served, [{"role": "user", "content": "What is this?"}]))
    _, one = text_and_usage(ask(served, seen(png(1))))
    _, two = text_and_usage(ask(served, seen(png(1), png(2))))
    assert one["prompt_tokens"] == without["prompt_tokens"] + ROWS
    assert two["prompt_tokens"] == without["prompt_tokens"] + 2 * ROWS
    body = {"model": "toy", "messages": [{"role": "user", "content": [anthropic_block(png(1)), {"type": "text", "text": "What is this?"}]}]}  # fmt: skip
    counted = served.post("/v1/messages/count_tokens", body)
    assert counted.json()["input_tokens"] == one["prompt_tokens"], counted.text
    items = [{"role": "user", "content": [
        {"type": "input_image", "image_url": url_of(png(1))}, {"type": "input_text", "text": "What is this?"}]}]  # fmt: skip
    counted = served.post("/v1/responses/input_tokens", {"model": "toy", "input": items})
    assert counted.json()["input_tokens"] == one["prompt_tokens"], counted.text


def anthropic_block(image: bytes) -> dict:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(image)}}


def test_every_family_says_the_same_of_an_image(served):
    image = png(3)
    expected, usage = text_and_usage(ask(served, seen(image)))
    stream = served.chat(seen(image), model="toy", **GREEDY)
    assert stream.text == expected
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0)
    answer = client.chat.completions.create(model="toy", messages=seen(image), extra_body=GREEDY)
    assert answer.choices[0].message.content == expected
    items = [{"role": "user", "content": [
        {"type": "input_image", "image_url": url_of(image)}, {"type": "input_text", "text": "What is this?"}]}]  # fmt: skip
    response = client.responses.create(
        model="toy", input=items, temperature=0, max_output_tokens=12, extra_body={"ignore_eos": True}
    )
    assert response.output_text == expected
    # A conversation goes on from an image that is stored.
    more = client.responses.create(
        model="toy", input="And now?", previous_response_id=response.id, temperature=0, max_output_tokens=4
    )
    assert more.usage.input_tokens > usage["prompt_tokens"]
    claude = anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0)
    message = claude.messages.create(
        model="toy", max_tokens=12, extra_body={"temperature": 0, "ignore_eos": True},
        messages=[{"role": "user", "content": [anthropic_block(image), {"type": "text", "text": "What is this?"}]}],
    )  # fmt: skip
    assert message.content[0].text == expected
    ollama = {"model": "toy", "stream": False, "options": {"temperature": 0, "num_predict": 12}}
    chat = served.post("/api/chat", ollama | {"messages": [{"role": "user", "content": "What is this?", "images": [base64_of(image)]}]})  # fmt: skip
    assert expected.startswith(chat.json()["message"]["content"]) and chat.json()["message"]["content"], chat.text
    generated = served.post("/api/generate", ollama | {"prompt": "What is this?", "images": [base64_of(image)]})
    assert expected.startswith(generated.json()["response"]) and generated.json()["response"], generated.text


def test_what_a_model_can_do_is_shown(served):
    for model, sees in (("toy", True), ("blind", False)):
        shown = served.post("/api/show", {"model": model}).json()
        assert ("vision" in shown["capabilities"]) == sees
        props = served.client.get(f"{served.url}/props?model={model}").json()
        assert props["modalities"] == {"vision": sees, "audio": False}
    names = [one["id"] for one in served.client.get(served.url + "/v1/models").json()["data"]]
    assert {"blind", "toy"} <= set(names) and not any("mmproj" in name for name in names)
    refused = ask(served, seen(png(1)), model="blind")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "this model takes no images: it has no projector"
    assert refused.json()["error"]["param"] == "messages"


def test_what_is_no_image_is_refused_by_its_field(served):
    place = "messages[0].content[0].image_url"
    text_and_usage(ask(served, seen(png(1))))
    engines = served.engines()

    def refusal(url: str) -> dict:
        response = ask(served, [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
        assert response.status_code == 400, response.text
        return response.json()["error"]

    assert refusal("https://example.com/cat.png")["param"] == place + ".url"
    assert "no images are fetched" in refusal("http://127.0.0.1:1/cat.png")["message"]
    assert "base64" in refusal("data:image/png;base64,####")["message"]
    assert "WebP" in refusal(url_of(b"RIFF\0\0\0\0WEBPVP8 "))["message"]
    assert "8192 x 8192 pixels" in refusal(url_of(png(1)[:16] + b"\0\0\x20\0\0\0\x20\0" + png(1)[24:]))["message"]
    assert refusal(url_of(png(1)[:100]))["param"] == "messages"  # its head is well: the engine says so
    assert served.post("/api/generate", {"model": "toy", "prompt": "x", "images": ["#"]}).json()["error"]
    assert served.engines() == engines


def test_damaged_images_end_no_engine(served):
    text_and_usage(ask(served, seen(png(1))))
    engines = served.engines()
    rng = random.Random(1)
    whole = png(5)

    def damaged(_):
        data = bytearray(whole[: rng.randrange(40, len(whole) + 1)])
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(24, len(data))] = rng.randrange(256)
        return bytes(data)

    bodies = [damaged(i) for i in range(60)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = {r.status_code for r in pool.map(lambda data: ask(served, seen(data), max_tokens=1), bodies)}
    assert codes <= {200, 400}
    assert 400 in codes
    assert served.engines() == engines


def test_streams_go_on_beside_an_image(served):
    with served.stream("Hello", model="toy", temperature=0, max_tokens=400, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        next(events)
        first, _ = text_and_usage(ask(served, seen(png(21), png(22))))
        rest = list(events)
    assert rest[-1]["type"] == "complete"
    assert text_and_usage(ask(served, seen(png(21), png(22))))[0] == first


def test_an_engine_that_is_killed_takes_images_again(start_server, tmp_path, model_file):
    folder = seeing_folder(tmp_path / "models", model_file())
    server = start_server(MODELS_DIR=str(folder), CACHE_WARMUP_ON_STARTUP="false")
    before, _ = text_and_usage(ask(server, seen(png(1))))
    with server.stream(seen(png(2)), model="toy", temperature=0, max_tokens=4000, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        next(events), next(events)
        os.kill(server.only_engine(), signal.SIGKILL)
        assert list(events)[-1]["code"] == "engine_died"
    after, usage = text_and_usage(ask(server, seen(png(1))))
    assert after == before
    # Nothing of an image is kept beyond its engine.
    assert cached(usage) == 0


def test_run_sends_the_images_that_a_prompt_names(tmp_path, model_file):
    folder = seeing_folder(tmp_path / "models", model_file())
    (folder / "cat.png").write_bytes(png(1))
    arguments = ("run", "toy", "--temperature", "0", "--max-tokens", "8")
    where = {"MODELS_DIR": str(folder)}
    seeing = harness.run_binary(*arguments, f"What is {folder}/cat.png ?", folder=folder, environment=where)
    assert seeing.returncode == 0, seeing.stderr
    blind = harness.run_binary("run", "blind", *arguments[2:], f"What is {folder}/cat.png ?", folder=folder, environment=where)
    assert blind.returncode == 1
    assert "it has no projector" in blind.stderr
    (folder / "cat.png").write_bytes(b"no picture")
    broken = harness.run_binary(*arguments, f"What is {folder}/cat.png ?", folder=folder, environment=where)
    assert broken.returncode == 1
    assert "is no image that is known here" in broken.stderr
