"""OpenAI's files and batches (/v1/files, /v1/batches) by OpenAI's own client: what goes in comes out, whoever dies.

SutazAI's own batch endpoint has test_batch.py.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import signal
import statistics
import subprocess
import threading
import time

import openai
import pytest

import harness

ENDED = {"completed", "failed", "expired", "cancelled"}


def client_of(server: harness.Server, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=60 * harness.SLOWDOWN)


def chat_line(custom_id: str, content: str = "hello", url: str = "/v1/chat/completions", **fields) -> dict:
    body = {"model": "toy", "messages": harness.user(content), "max_tokens": 4, "temperature": 0, "ignore_eos": True}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body | fields}


def jsonl(lines: list) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def upload(client: openai.OpenAI, lines: list, name: str = "in.jsonl"):
    return client.files.create(file=(name, jsonl(lines)), purpose="batch")


def order(client: openai.OpenAI, lines: list, endpoint: str = "/v1/chat/completions", window: str = "24h", **fields):
    return client.batches.create(input_file_id=upload(client, lines).id, endpoint=endpoint, completion_window=window, **fields)


def ended(client: openai.OpenAI, batch_id: str, seconds: float = 120):
    def look():
        batch = client.batches.retrieve(batch_id)
        return batch if batch.status in ENDED else None

    return harness.wait_until(f"{batch_id} has ended", look, seconds)


def lines_of(client: openai.OpenAI, file_id: str | None) -> dict[str, dict]:
    if file_id is None:
        return {}
    lines = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    by_id = {line["custom_id"]: line for line in lines}
    assert len(by_id) == len(lines), collections.Counter(line["custom_id"] for line in lines).most_common(3)
    return by_id


@pytest.fixture
def own(start_server, toy):
    return start_server("--model", toy)


def test_a_batch_from_upload_to_output(own):
    client = client_of(own)
    lines = [chat_line(f"id-{i}", f"question {i}") for i in range(20)]
    batch = order(client, lines, metadata={"purpose": "test"})
    assert batch.object == "batch" and batch.status == "validating"
    assert batch.id.startswith("batch_")
    assert batch.expires_at - batch.created_at == 24 * 3600
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (20, 20, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert batch.error_file_id is None and batch.errors is None
    assert batch.metadata == {"purpose": "test"}
    assert batch.model == "toy"
    output = lines_of(client, batch.output_file_id)
    assert list(output) == [line["custom_id"] for line in lines], "the output is in the order of the input"
    for line in lines:
        got = output[line["custom_id"]]
        assert got["id"].startswith("batch_req_") and got["error"] is None
        assert got["response"]["status_code"] == 200 and got["response"]["request_id"]
        answer = openai.types.chat.ChatCompletion.model_validate(got["response"]["body"])
        assert answer.usage.completion_tokens == 4
    assert batch.usage.output_tokens == 80
    assert batch.usage.total_tokens == batch.usage.input_tokens + 80
    # The answer is the endpoint's.
    alone = own.post("/v1/chat/completions", lines[3]["body"]).json()
    assert output["id-3"]["response"]["body"]["choices"] == alone["choices"]


def test_what_is_said_of_files(own):
    client = client_of(own)
    one = client.files.create(file=("a b.jsonl", b"{}\n"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    assert (one.filename, one.bytes, one.purpose, one.status) == ("a b.jsonl", 3, "batch", "processed")
    assert one.expires_at == one.created_at + 3600
    two = client.files.create(file=("b.txt", b"data"), purpose="user_data")
    assert two.expires_at is None
    assert client.files.retrieve(two.id) == two
    assert client.files.content(two.id).content == b"data"
    assert [file.id for file in client.files.list()] == [two.id, one.id]
    assert [file.id for file in client.files.list(order="asc", limit=1)] == [one.id, two.id], "pages are put together"
    assert [file.id for file in client.files.list(purpose="batch")] == [one.id]
    assert client.files.delete(two.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(two.id)
    head = own.client.head(f"{own.url}/v1/files/{one.id}/content")
    assert (head.status_code, head.headers["content-length"]) == (200, "3")
    # For its owner alone.
    for path in (pathlib.Path(own.folder) / "home" / "batches").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "form, field",
    [
        ({"files": {"file": ("a", b"x")}}, "purpose"),
        ({"files": {"file": ("a", b"x")}, "data": {"purpose": "fine-tune"}}, "purpose"),
        ({"files": {"other": ("a", b"x")}, "data": {"purpose": "batch"}}, None),
        ({"files": {"file": ("a", b"x")}, "data": {"purpose": "batch", "expires_after[seconds]": "5"}}, "expires_after[seconds]"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "Content-Type"),
        ({"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, None),
    ],
)
def test_forms_that_are_refused(server, form, field):
    answer = server.client.post(server.url + "/v1/files", **form)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field
    assert answer.json()["error"]["type"] == "invalid_request_error"
    # The connection, and the server, go on.
    assert server.client.get(server.url + "/health").status_code == 200


def test_bodies_of_another_type_are_refused(server):
    assert server.client.post(server.url + "/v1/files", json={}).status_code == 415


def test_large_files_are_streamed(start_server, toy, tmp_path):
    server = start_server("--model", toy, FILE_MAX_BYTES="300MiB", BODY_MEMORY_BYTES="16MiB")
    big = tmp_path / "big"
    piece = os.urandom(1 << 20)
    with open(big, "wb") as out:
        for _ in range(200):
            out.write(piece)

    def resident():
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    before = resident()
    client = client_of(server)
    with open(big, "rb") as file:
        made = client.files.create(file=file, purpose="user_data")
    assert made.bytes == 200 << 20
    n_bytes = 0
    with client.files.with_streaming_response.content(made.id) as content:
        for part in content.iter_bytes(1 << 20):
            assert part == piece[: len(part)] or n_bytes % (1 << 20)
            n_bytes += len(part)
    assert n_bytes == 200 << 20
    if harness.SLOWDOWN == 1:  # a sanitizer keeps what was freed for a while
        assert resident() - before < 40 << 10, "KiB: the file passed through, and was not held"


def test_limits_of_files(start_server, toy):
    server = start_server("--model", toy, FILE_MAX_BYTES="100KiB", FILES_MAX_BYTES="1MiB")
    client = client_of(server)
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("a", b"x" * (101 << 10)), purpose="user_data")
    assert refused.value.status_code == 413 and "FILE_MAX_BYTES" in refused.value.message
    for _ in range(10):
        client.files.create(file=("a", b"x" * (100 << 10)), purpose="user_data")
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("a", b"x" * (100 << 10)), purpose="user_data")
    assert refused.value.status_code == 413 and "FILES_MAX_BYTES" in refused.value.message
    assert len(list((pathlib.Path(server.folder) / "home/batches/files").iterdir())) == 10, "nothing is left of what was refused"


def test_an_upload_that_breaks_off_leaves_nothing(own):
    client = client_of(own)
    client.files.create(file=("a", b"x"), purpose="user_data")

    def forever():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(4):
            yield b"x" * (1 << 20)
        raise OSError("the client dies")

    with pytest.raises(OSError):
        own.client.post(own.url + "/v1/files", content=forever(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    folder = pathlib.Path(own.folder) / "home/batches/files"
    harness.wait_until("the temporary file is gone", lambda: len(list(folder.iterdir())) == 1)


def test_each_line_fails_alone(own):
    client = client_of(own)
    lines = [
        chat_line("good"),
        chat_line("no-model", model="nobody"),
        chat_line("bad-field", temperature=9),
        chat_line("too-long", "word " * 9000),
        chat_line("streams", stream=True),
        chat_line("wants-to-be-first", priority=-5),
    ]
    batch = ended(client, order(client, lines).id)
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 4)
    assert set(lines_of(client, batch.output_file_id)) == {"good", "wants-to-be-first"}, "the batch has the last place, whatever a line says"
    errors = lines_of(client, batch.error_file_id)
    statuses = {name: line["response"]["status_code"] for name, line in errors.items()}
    assert statuses == {"no-model": 404, "bad-field": 400, "too-long": 400, "streams": 400}
    assert errors["bad-field"]["response"]["body"]["error"]["param"] == "temperature"
    assert errors["no-model"]["response"]["body"]["error"]["code"] == "model_not_found"


def test_input_files_with_errors(own):
    client = client_of(own)
    good = chat_line("a")
    batch = ended(client, order(client, [good, b"{", good, chat_line("b", url="/v1/embeddings"), good | {"custom_id": "c", "method": "GET"}]).id)
    assert batch.status == "failed" and batch.failed_at and batch.output_file_id is None
    assert [(error.line, error.code) for error in batch.errors.data] == [
        (2, "invalid_json_line"), (3, "duplicate_custom_id"), (4, "mismatched_url"), (5, "invalid_method")]  # fmt: skip
    batch = ended(client, order(client, []).id)
    assert [error.code for error in batch.errors.data] == ["empty_file"]


def test_orders_that_are_refused(own):
    client = client_of(own)
    data = client.files.create(file=("a", b"x"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.batches.create(input_file_id=data.id, endpoint="/v1/embeddings", completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-none", endpoint="/v1/embeddings", completion_window="24h")
    file = upload(client, [chat_line("a")])
    for fields, param in (({"endpoint": "/v1/images/generations"}, "endpoint"), ({"completion_window": "soon"}, "completion_window")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.batches.create(**({"input_file_id": file.id, "endpoint": "/v1/embeddings", "completion_window": "24h"} | fields))
        assert refused.value.param == param
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call("batch_none")


def test_too_many_lines(start_server, toy):
    server = start_server("--model", toy, BATCH_MAX_LINES="3")
    client = client_of(server)
    batch = ended(client, order(client, [chat_line(str(i)) for i in range(4)]).id)
    assert [(error.code, error.line) for error in batch.errors.data] == [("too_many_tasks", 4)]


def test_completions_and_embeddings(own):
    client = client_of(own)
    text = {"custom_id": "t", "method": "POST", "url": "/v1/completions",
            "body": {"model": "toy", "prompt": ["one", "two"], "max_tokens": 3, "ignore_eos": True}}  # fmt: skip
    batch = ended(client, order(client, [text], "/v1/completions").id)
    answer = lines_of(client, batch.output_file_id)["t"]["response"]["body"]
    assert len(answer["choices"]) == 2 and answer["usage"]["completion_tokens"] == 6
    vector = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"model": "toy", "input": "one"}}
    batch = ended(client, order(client, [vector], "/v1/embeddings").id)
    answer = lines_of(client, batch.output_file_id)["e"]["response"]["body"]
    alone = own.post("/v1/embeddings", vector["body"]).json()
    assert answer["data"][0]["embedding"] == pytest.approx(alone["data"][0]["embedding"], abs=1e-3)


def response_line(custom_id: str, text: str = "hello", **fields) -> dict:
    body = {"model": "toy", "input": text, "max_output_tokens": 16, "temperature": 0, "ignore_eos": True}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": body | fields}


def test_responses(own):
    client = client_of(own)
    first = client.responses.create(model="toy", input="Remember the word plum.", max_output_tokens=16, temperature=0)
    lines = [
        response_line("plain", "one and two"),
        response_line("goes-on", "Which word?", previous_response_id=first.id),
        response_line("not-kept", store=False, metadata={"usage": "yes"}),
        response_line("streams", stream=True),
        response_line("background", background=True),
        response_line("unknown", max_tokens=4),
        response_line("from-nothing", previous_response_id="resp_0"),
    ]
    batch = ended(client, order(client, lines, "/v1/responses").id)
    assert (batch.status, batch.endpoint) == ("completed", "/v1/responses")
    assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 4)
    output = lines_of(client, batch.output_file_id)
    answers = {name: openai.types.responses.Response.model_validate(line["response"]["body"]) for name, line in output.items()}
    assert set(answers) == {"plain", "goes-on", "not-kept"}
    for answer in answers.values():
        assert answer.usage.output_tokens == 16 and answer.output_text
    assert batch.usage.output_tokens == 48
    assert batch.usage.input_tokens == sum(answer.usage.input_tokens for answer in answers.values())
    # It is the route's answer, and it is kept like one.
    alone = own.post("/v1/responses", lines[0]["body"]).json()
    assert output["plain"]["response"]["body"]["output"][0]["content"] == alone["output"][0]["content"]
    assert client.responses.retrieve(answers["goes-on"].id).previous_response_id == first.id
    further = client.responses.create(model="toy", input="And?", previous_response_id=answers["goes-on"].id, max_output_tokens=16)
    assert further.usage.input_tokens > answers["goes-on"].usage.total_tokens
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answers["not-kept"].id)
    errors = lines_of(client, batch.error_file_id)
    refused = {name: (line["response"]["status_code"], line["response"]["body"]["error"]["param"]) for name, line in errors.items()}
    assert refused == {
        "streams": (400, "stream"), "background": (400, "background"), "unknown": (400, "max_tokens"),
        "from-nothing": (404, "previous_response_id"),
    }  # fmt: skip


def test_a_model_that_waits_holds_no_other_up(start_server, toy, tmp_path):
    """The lines of one model are tried again for half a minute; those of another, behind them in the same file, are done."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    server = start_server("--model", toy, "--model", f"broken={broken}")
    client = client_of(server)
    batch = order(client, [chat_line(f"b{i}", model="broken") for i in range(3)] + [chat_line(f"t{i}") for i in range(5)])
    harness.wait_until("the other model's lines are done", lambda: client.batches.retrieve(batch.id).request_counts.completed == 5, 20)
    client.batches.cancel(batch.id)
    assert ended(client, batch.id).request_counts.completed == 5


def test_lists_of_batches(own):
    client = client_of(own)
    ids = [order(client, [chat_line("a")]).id for _ in range(5)]
    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1], "latest first, page by page"
    for one in ids:
        ended(client, one)


def test_a_batch_that_is_cancelled(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    client = client_of(server)
    lines = [chat_line("short", model="endless", max_tokens=1)]
    lines += [chat_line(f"long-{i}", model="endless", max_tokens=100000) for i in range(10)]
    batch = order(client, lines)
    harness.wait_until("the short one is done", lambda: client.batches.retrieve(batch.id).request_counts.completed == 1, 60)
    with pytest.raises(openai.BadRequestError, match="has not ended"):
        client.files.delete(batch.input_file_id)
    asked = client.batches.cancel(batch.id)
    assert asked.status == "cancelling" and asked.cancelling_at
    batch = ended(client, batch.id, 20)
    assert batch.status == "cancelled" and batch.cancelled_at
    assert set(lines_of(client, batch.output_file_id)) == {"short"}
    errors = lines_of(client, batch.error_file_id)
    assert len(errors) == 10 and all(line["error"]["code"] == "batch_cancelled" for line in errors.values())
    with pytest.raises(openai.BadRequestError):
        client.batches.cancel(batch.id)
    assert client.files.delete(batch.input_file_id).deleted
    assert client.files.delete(batch.output_file_id).deleted
    metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()["batches"]
    assert metrics["lines_running"] == 0 and metrics["lines_completed"] == 1


def test_a_batch_whose_time_is_over(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    client = client_of(server)
    lines = [chat_line("short", model="endless", max_tokens=1), chat_line("long", model="endless", max_tokens=100000)]
    batch = ended(client, order(client, lines, window="6s").id, 60)
    assert batch.status == "expired" and batch.expired_at >= batch.expires_at
    assert set(lines_of(client, batch.output_file_id)) == {"short"}
    assert lines_of(client, batch.error_file_id)["long"]["error"]["code"] == "batch_expired"


def test_keys_have_files_and_batches_of_their_own(start_server, toy):
    server = start_server("--model", toy, API_KEYS="one,two")
    one, two = client_of(server, "one"), client_of(server, "two")
    batch = ended(one, order(one, [chat_line("a")]).id)
    assert batch.status == "completed"
    for call, argument in ((two.files.retrieve, batch.input_file_id), (two.files.content, batch.output_file_id),
                           (two.files.delete, batch.output_file_id), (two.batches.retrieve, batch.id),
                           (two.batches.cancel, batch.id)):  # fmt: skip
        with pytest.raises(openai.NotFoundError):
            call(argument)
    with pytest.raises(openai.NotFoundError):
        two.batches.create(input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h")
    assert list(two.files.list()) == [] and list(two.batches.list()) == []
    assert len(list(one.files.list())) == 2
    with pytest.raises(openai.AuthenticationError):
        client_of(server, "three").files.list()


@pytest.fixture
def at_home(tmp_path, toy):
    """at_home(): a server with the toy model on one SUTAZAI_HOME for all; those that a test has not killed are ended
    after it, and held to a clean end."""
    started = []

    def start() -> harness.Server:
        settings = {"SUTAZAI_HOME": str(tmp_path / "home")}
        one = harness.Server(tmp_path / f"server{len(started)}", "--model", toy, environment=settings)
        started.append(one)
        return one.wait_for_ready()

    yield start
    try:
        for one in started:
            if one.process.poll() is None:
                one.stop()
    finally:
        for one in started:
            one.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_loses_nothing(start_server, toy, small_disk):
    ballast = small_disk / "ballast"

    def fill():
        with open(ballast, "ab", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))

    server = start_server("--model", toy, SUTAZAI_HOME=str(small_disk))
    client = client_of(server)
    lines = upload(client, [chat_line(f"id-{i}") for i in range(50)])
    blob = client.files.create(file=("blob", b"x" * (1 << 20)), purpose="user_data")
    with pytest.raises(openai.InternalServerError, match="No space left"):
        client.files.create(file=("blob", b"x" * (4 << 20)), purpose="user_data")
    batch = client.batches.create(input_file_id=lines.id, endpoint="/v1/chat/completions", completion_window="24h")
    fill()
    for call in (lambda: upload(client, [chat_line("a")]),
                 lambda: client.responses.create(model="toy", input="a", background=True)):  # fmt: skip
        with pytest.raises(openai.APIStatusError) as refused:
            call()
        assert refused.value.status_code == 503, refused.value.message
    assert client.responses.create(model="toy", input="a", max_output_tokens=16).store is False, "answers are made all the same"
    assert client.files.content(blob.id).content == b"x" * (1 << 20)
    # There is a way out.
    assert client.files.delete(blob.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(blob.id)
    ballast.unlink()
    batch = ended(client, batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 50)
    assert len(lines_of(client, batch.output_file_id)) == 50
    harness.wait_until("responses are stored again", lambda: client.responses.create(model="toy", input="a", max_output_tokens=16).store, 20)


def kill(server):
    """As the kernel's out-of-memory killer does it."""
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    harness.wait_until("its engines are gone", lambda: harness.engines_of(server.pid, server.folder) == [])


def test_kills_of_the_server_lose_nothing_and_double_nothing(at_home, tmp_path):
    n_lines = 1000
    home = tmp_path / "home"
    server = at_home()
    client = client_of(server)
    shared = [f"You are assistant number {i}. " + "Answer well. " * 20 for i in range(7)]
    lines = [chat_line(f"id-{i}", shared[i % 7] + f"Question {i}?", max_tokens=12) for i in range(n_lines)]
    batch_id = order(client, lines).id
    counts = [0]
    for share in (0.1, 0.4, 0.7):
        harness.wait_until(
            f"{share} is done", lambda: client.batches.retrieve(batch_id).request_counts.completed >= share * n_lines, 240
        )
        kill(server)
        server = at_home()
        client = client_of(server)
        counts.append(client.batches.retrieve(batch_id).request_counts.completed)
        assert share * n_lines <= counts[-1] < n_lines, "what was counted is kept, and something is left"
    batch = ended(client, batch_id, 300)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (n_lines, n_lines, 0)
    output = lines_of(client, batch.output_file_id)
    assert list(output) == [line["custom_id"] for line in lines]
    assert all(line["response"]["status_code"] == 200 for line in output.values())
    left = {path.name for path in (home / "batches" / "files").iterdir()}
    assert left == {batch.input_file_id, batch.output_file_id}
    assert list((home / "batches" / "results").iterdir()) == []


def test_kills_of_the_engine_cost_no_line(own):
    client = client_of(own)
    lines = [chat_line(f"id-{i}", f"Question {i}?", max_tokens=30) for i in range(200)]
    batch_id = order(client, lines).id
    for share in (0.1, 0.5):
        harness.wait_until("some are done", lambda: client.batches.retrieve(batch_id).request_counts.completed >= share * 200, 120)
        os.kill(own.only_engine(), signal.SIGKILL)
    batch = ended(client, batch_id, 240)
    assert batch.status == "completed" and batch.request_counts.completed == 200
    assert len(lines_of(client, batch.output_file_id)) == 200


def test_a_server_that_ends_leaves_the_rest_to_the_next(at_home):
    server = at_home()
    client = client_of(server)
    batch_id = order(client, [chat_line(f"id-{i}", f"Question {i}?", max_tokens=20) for i in range(300)]).id
    harness.wait_until("some are done", lambda: client.batches.retrieve(batch_id).request_counts.completed >= 20, 120)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 10 * harness.SLOWDOWN, "it does not wait for the batch"
    client = client_of(at_home())
    batch = ended(client, batch_id, 240)
    assert batch.status == "completed" and batch.request_counts.completed == 300


def test_of_two_servers_one_runs_a_batch(at_home):
    servers = [at_home() for _ in range(2)]
    clients = [client_of(server) for server in servers]
    batch_id = order(clients[1], [chat_line(f"id-{i}", f"Question {i}?", max_tokens=20) for i in range(200)]).id
    harness.wait_until("some are done", lambda: clients[1].batches.retrieve(batch_id).request_counts.completed >= 20, 120)

    def figures(server):
        return server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()["batches"]

    running = [server for server in servers if figures(server)["runs_here"]]
    assert len(running) == 1
    kill(running[0])
    other = next(index for index in (0, 1) if servers[index] is not running[0])
    batch = ended(clients[other], batch_id, 240)
    assert batch.status == "completed" and batch.request_counts.completed == 200
    assert len(lines_of(clients[other], batch.output_file_id)) == 200
    # A cancel that the other one was told of reaches who runs it.
    third = at_home()
    client = client_of(third)
    batch_id = order(client, [chat_line(f"id-{i}", max_tokens=400) for i in range(400)]).id
    client.batches.cancel(batch_id)
    assert ended(client, batch_id, 60).status == "cancelled"


def test_a_batch_makes_way(start_server, model_file):
    """What somebody waits for beside a batch takes about as long as without one."""
    server = start_server("--model", f"toy={model_file(context=65536)}", CONTEXT_TOKENS="65536")
    client = client_of(server)

    def gaps() -> list[float]:
        times = []
        for piece in client.chat.completions.create(model="toy", messages=harness.user("Tell me"), max_tokens=150,
                                                    stream=True, temperature=0, extra_body={"ignore_eos": True}):  # fmt: skip
            if piece.choices and piece.choices[0].delta.content:
                times.append(time.monotonic())
        return [later - earlier for earlier, later in zip(times, times[1:])]

    gaps()
    alone = statistics.median(statistics.median(gaps()) for _ in range(3))
    batch_id = order(client, [chat_line(f"id-{i}", f"Question {i}?", max_tokens=500) for i in range(2000)]).id
    harness.wait_until("it runs", lambda: client.batches.retrieve(batch_id).request_counts.completed > 0, 120)
    beside, first = [], []
    for _ in range(3):
        begin = time.monotonic()
        server.post("/v1/chat/completions", {"model": "toy", "messages": harness.user("Hi"), "max_tokens": 1})
        first.append(time.monotonic() - begin)
        beside.append(statistics.median(gaps()))
        time.sleep(1)
    client.batches.cancel(batch_id)
    assert ended(client, batch_id, 30).status == "cancelled"
    assert statistics.median(beside) < 4 * alone * harness.SLOWDOWN + 0.002, (alone, beside)
    assert statistics.median(first) < 1.0 * harness.SLOWDOWN, first


def test_nothing_of_what_is_asked_is_logged(start_server, toy):
    server = start_server("--model", toy, LOG_LEVEL="debug", API_KEYS="secret-key")
    client = client_of(server, "secret-key")
    lines = [chat_line("custom-SECRET", "prompt-SECRET"), chat_line("two-SECRET", "prompt-SECRET", temperature=9)]
    assert ended(client, order(client, lines).id).status == "completed"
    assert ended(client, order(client, [b"{SECRET", chat_line("SECRET", url="/SECRET")]).id).status == "failed"
    client.files.create(file=("SECRET.txt", b"SECRET"), purpose="user_data")
    log = server.log()
    assert "batch" in log and "SECRET" not in log and "secret-key" not in log
