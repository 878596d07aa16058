"""Models that other servers have: another SutazAI in each of its dialects, and servers that misbehave."""

import concurrent.futures
import contextlib
import http.server
import json
import os
import pathlib
import signal
import socket
import socketserver
import threading
import time

import pytest

import harness
from harness import SLOWDOWN, wait_until

KINDS = ["ollama", "openai", "sutazai"]


def address(kind: str, port: int) -> str:
    return f"{kind}+http://127.0.0.1:{port}"


def states(server) -> dict:
    body = server.post("/api/v1/streaming/cache/manage", {"action": "status"}).json()
    return {model["name"]: model for model in body["models"]}


def names(server) -> list[str]:
    return [model["id"] for model in server.client.get(server.url + "/v1/models").json()["data"]]


def has(name: str):
    return lambda server: name in names(server)


def running_at(remote) -> int:
    metrics = remote.client.get(remote.url + "/api/v1/streaming/performance/metrics").json()
    return sum(model["requests_running"] for model in metrics["performance_stats"].values())


@pytest.fixture(scope="module")
def remote(tmp_path_factory, endless, toy):
    """A SutazAI with the models "endless" and "toy"."""
    folder = tmp_path_factory.mktemp("remote")
    with harness.running(folder, "--model", toy, "--model", endless, CONTEXT_TOKENS=harness.ENDLESS) as server:
        yield server


@pytest.fixture(scope="module")
def front(tmp_path_factory, remote):
    """A server that has the remote one as three upstreams, of each kind, and one model by three names."""
    folder = tmp_path_factory.mktemp("front")
    home = folder / "home"
    home.mkdir()
    lines = [f'[models."by-{kind}"]\nupstream = "{kind}"\nupstream_model = "toy"\n' for kind in KINDS]
    lines += [f'[models."endless-{kind}"]\nupstream = "{kind}"\nupstream_model = "endless"\n' for kind in KINDS]
    (home / "models.toml").write_text("".join(lines))
    upstreams = ",".join(f"{kind}={address(kind, remote.port)}" for kind in KINDS)
    with harness.running(folder, UPSTREAMS=upstreams, UPSTREAM_POLL_S="1", CACHE_WARMUP_ON_STARTUP="false") as server:
        wait_until("the remote models are listed", lambda: has("toy")(server), 20)
        yield server


@pytest.fixture(params=KINDS)
def by_kind(request) -> str:
    return f"by-{request.param}"


def test_they_are_listed_everywhere(front, remote, tmp_path):
    listed = names(front)
    assert "toy" in listed and "by-openai" in listed
    tags = {model["name"]: model for model in front.client.get(front.url + "/api/tags").json()["models"]}
    assert tags["by-ollama"]["remote_model"] == "toy"
    assert set(tags) == set(listed)
    for name in ("toy", "by-sutazai"):
        assert states(front)[name]["state"] == "remote"
        assert states(front)[name]["pid"] == 0
    shown = front.post("/api/show", {"model": "by-ollama"})
    assert shown.status_code == 200, shown.text

    def is_the_first_ones():  # once all of them have been asked
        health = front.client.get(front.url + "/api/v1/streaming/health/advanced").json()
        return {"name": "toy", "state": "remote", "upstream": "ollama"} in health["models"]

    wait_until("the first server that has it serves it", is_the_first_ones, 10)
    assert front.engines() == [], "nothing is loaded here"
    ran = harness.run_binary("list", folder=tmp_path, environment={"UPSTREAMS": f"a={address('ollama', remote.port)}"})
    assert ran.returncode == 0, ran.stderr
    assert "toy of a" in ran.stdout, ran.stdout


def test_answers_are_the_remotes(front, remote, by_kind):
    direct = remote.settled_chat("Say something.", model="toy", temperature=0, max_tokens=16)
    through = front.chat("Say something.", model=by_kind, temperature=0, max_tokens=16)
    assert through.text == direct.text
    assert through.finish_reason == direct.finish_reason == "length"
    assert through.usage["completion_tokens"] == 16
    assert through.usage["prompt_tokens"] == direct.usage["prompt_tokens"]


def test_every_family_works(front, remote, by_kind):
    chat = {"model": by_kind, "messages": harness.user("Hi"), "max_tokens": 8, "temperature": 0}
    whole = front.post("/v1/chat/completions", chat)
    assert whole.status_code == 200, whole.text
    assert whole.json()["usage"]["completion_tokens"] == 8
    two = front.post("/v1/chat/completions", chat | {"n": 2, "temperature": 1, "seed": 5}).json()
    assert len(two["choices"]) == 2 and two["usage"]["completion_tokens"] == 16
    text = front.post("/v1/completions", {"model": by_kind, "prompt": "Once", "max_tokens": 8, "temperature": 0})
    assert text.status_code == 200, text.text
    direct = remote.post("/v1/completions", {"model": "toy", "prompt": "Once", "max_tokens": 8, "temperature": 0})
    assert text.json()["choices"][0]["text"] == direct.json()["choices"][0]["text"]
    ollama = {"model": by_kind, "stream": False, "options": {"num_predict": 8, "temperature": 0}}
    answer = front.post("/api/chat", ollama | {"messages": harness.user("Hi")}).json()
    assert answer["eval_count"] == 8 and answer["prompt_eval_count"] > 0 and answer["eval_duration"] > 0
    assert answer["message"]["content"] == whole.json()["choices"][0]["message"]["content"]
    generated = front.post("/api/generate", ollama | {"prompt": "Hi"}).json()
    assert generated["response"] == answer["message"]["content"]
    if by_kind != "by-openai":  # OpenAI's API has no such tokens
        assert len(generated["context"]) > 8
    logprobs = front.post("/v1/chat/completions", chat | {"logprobs": True, "top_logprobs": 2}).json()
    scores = logprobs["choices"][0]["logprobs"]["content"]
    assert len(scores) == 8 and all(len(score["top_logprobs"]) == 2 for score in scores)


def test_a_batch_is_answered_over_it(front, by_kind):
    requests = [{"prompt": f"Number {i}", "max_tokens": 4} for i in range(12)]
    requests.append({"prompt": "x", "temperature": 9})
    before = states(front)[by_kind]["requests"]
    answer = front.post("/api/v1/streaming/batch/process", {"model": by_kind, "requests": requests})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [bool(result.get("error")) for result in results] == [False] * 12 + [True], results
    metrics = front.client.get(front.url + "/api/v1/streaming/performance/metrics").json()["performance_stats"]
    main = states(front)[by_kind]["alias_of"] or by_kind
    assert metrics[main]["total_requests"] > before
    assert metrics[main]["generation_tokens"] >= 48
    assert metrics[main]["requests_running"] == 0
    assert metrics[main]["avg_latency"] > 0


def test_vectors_are_the_remotes(front, remote, by_kind):
    def vectors(server, model):
        answer = server.post("/v1/embeddings", {"model": model, "input": ["one", "two words"]})
        assert answer.status_code == 200, answer.text
        return answer.json()

    ours, theirs = vectors(front, by_kind), vectors(remote, "toy")
    for one, other in zip(ours["data"], theirs["data"]):
        assert sum(a * b for a, b in zip(one["embedding"], other["embedding"])) > 0.999
    assert ours["usage"] == theirs["usage"]
    embedded = front.post("/api/embed", {"model": by_kind, "input": "one"}).json()
    assert len(embedded["embeddings"]) == 1


def test_what_the_remote_cannot_be_told_is_refused_by_name(front):
    def refused(model, **fields):
        answer = front.post("/v1/chat/completions", {"model": model, "messages": harness.user("x")} | fields)
        assert answer.status_code == 400, answer.text
        return answer.json()["error"]["param"]

    assert refused("by-openai", top_k=3) == "top_k"
    assert refused("by-openai", grammar='root ::= "a"') == "grammar"
    assert refused("by-ollama", grammar='root ::= "a"') == "grammar"
    assert refused("by-ollama", ignore_eos=True) == "ignore_eos"
    kept = front.post("/v1/chat/completions", {"model": "by-sutazai", "messages": harness.user("x"), "top_k": 1,
                                               "grammar": 'root ::= "abc"'})  # fmt: skip
    assert kept.json()["choices"][0]["message"]["content"] == "abc"


def test_the_remotes_refusals_are_passed_on(front, by_kind):
    body = {"model": by_kind, "messages": harness.user("word " * 200_000), "max_tokens": 1}
    answer = front.post("/v1/chat/completions", body)
    # Ollama's error lines in a stream that has begun say nothing of whose fault it is.
    assert answer.status_code in ((400, 502) if by_kind == "by-ollama" else (400,)), answer.text
    assert "context" in answer.json()["error"]["message"]


def test_orders_are_for_models_of_this_server(front):
    for action in ("warmup", "evict", "pin", "save"):
        body = front.post("/api/v1/streaming/cache/manage", {"action": action, "models": ["toy"]}).json()
        assert not body["success"], body
        assert "another server" in body["results"][0]["message"]
    assert front.post("/api/generate", {"model": "toy", "keep_alive": 0}).status_code == 400
    assert front.post("/api/generate", {"model": "toy"}).status_code == 200, "there is nothing to be loaded"
    copied = front.post("/api/create", {"model": "mine", "from": "toy", "stream": False})
    assert copied.status_code == 400, copied.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_goes_away_ends_it_at_the_remote(front, remote, kind):
    # Only a SutazAI can be told to go on for ever; of sixteen answers one at least is long.
    name = f"endless-{kind}"
    body = {"model": name, "messages": harness.user("Say something long."), "n": 16, "max_tokens": 100_000, "stream": True}
    body |= {"ignore_eos": True} if kind == "sutazai" else {}
    with front.client.stream("POST", front.url + harness.COMPLETIONS_PATH, json=body) as response:
        assert response.status_code == 200
        wait_until("it runs at both", lambda: running_at(remote) and states(front)[name]["remote"]["running"], 20)
    wait_until("the remote runs nothing", lambda: running_at(remote) == 0, 20)
    wait_until("nor does the front", lambda: states(front)[name]["remote"]["running"] == 0, 20)


def test_many_at_once(front):
    def one(i):
        return front.chat(f"Number {i}", model=f"by-{KINDS[i % 3]}", max_tokens=8, temperature=0).usage

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for usage in pool.map(one, range(48)):
            assert usage["completion_tokens"] == 8


def test_the_end_of_the_remote_in_the_middle(start_server, endless, toy):
    remote = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS)
    front = start_server("--model", toy, UPSTREAMS=f"r={address('sutazai', remote.port)}", UPSTREAM_POLL_S="1")
    wait_until("the model is listed", lambda: has("endless")(front), 20)
    with front.stream("Go on.", model="endless", max_tokens=100_000, ignore_eos=True) as response:
        events = harness.iterate_sse(response.iter_raw())
        while next(events)["type"] != "chunk":
            pass
        remote.kill()
        last = list(events)[-1]
    assert last["type"] == "error", last
    assert "upstream 'r'" in json.dumps(last)
    wait_until("it is seen", lambda: states(front)["endless"]["state"] == "unreachable", 20)
    refused = front.post("/v1/chat/completions", {"model": "endless", "messages": harness.user("x")})
    assert refused.status_code == 502, refused.text
    assert refused.json()["error"]["code"] == "upstream_failed"
    assert "refused" in refused.json()["error"]["message"]
    assert front.client.get(front.url + "/api/v1/streaming/health/advanced").json()["status"] == "degraded"
    assert front.chat("Hi", model="toy", max_tokens=4).finish_reason == "length", "the server goes on"
    remote.stop = lambda: None  # it was killed


def test_names_do_not_go_round(start_server, toy, tmp_path):
    """A server that is its own upstream, and one by another name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server0" / "home"
    folder.mkdir(parents=True)
    (folder / "models.toml").write_text('[models.loop]\nupstream = "me"\nupstream_model = "loop"\n')
    server = start_server("--model", toy, "--port", str(port), UPSTREAMS=f"me={address('openai', port)}",
                          UPSTREAM_POLL_S="1")  # fmt: skip
    assert server.port == port
    answer = server.post("/v1/chat/completions", {"model": "loop", "messages": harness.user("x")})
    assert answer.status_code == 502, answer.text
    assert "leads back to this server" in answer.json()["error"]["message"]
    assert states(server)["toy"]["remote"] is None, "the local name wins"
    assert {"loop", "toy"} <= set(names(server)) and len(names(server)) == len(set(names(server)))


# --- servers that misbehave


class Misbehaving(socketserver.ThreadingTCPServer):
    """Answers GET with a list of models; POST is answered by what `behave` does with the connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        self.behave = lambda connection, n: None
        self.n_posts = 0
        self.n_connections = 0
        self.headers = {}
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.n_connections += 1

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = json.dumps({"models": [{"name": "bad"}], "data": [{"id": "bad"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers = dict(self.headers)
        self.server.n_posts += 1
        with contextlib.suppress(OSError):
            self.server.behave(self.connection, self.server.n_posts)
        self.close_connection = True


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
LINE = b'{"message":{"role":"assistant","content":"word "},"done":false}\n'
END = b'{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":2}\n'


@pytest.fixture(scope="module")
def bad():
    with Misbehaving() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, bad, toy):
    """A server with the misbehaving one as an upstream, and short patience."""
    with harness.running(tmp_path_factory.mktemp("guarded"), "--model", toy, UPSTREAMS=f"b={address('ollama', bad.port)}",
                         UPSTREAM_KEYS="b=sk-very-secret", UPSTREAM_POLL_S="1", UPSTREAM_FIRST_TOKEN_TIMEOUT_S="1",
                         UPSTREAM_IDLE_TIMEOUT_S="1") as server:  # fmt: skip
        wait_until("the model is listed", lambda: has("bad")(server), 20)
        yield server
        assert "sk-very-secret" not in server.log()


def ask(server, stream=False):
    return server.post("/v1/chat/completions", {"model": "bad", "messages": harness.user("x"), "stream": stream})


def sends(*pieces: bytes, then=lambda: None):
    def behave(connection, _n):
        for piece in pieces:
            connection.sendall(piece)
        then()

    return behave


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"garbage\r\n\r\n",),
        (OK,),
        (OK, LINE),
        (OK, LINE, b"garbage\n"),
        (OK, b'{"message":{"content":"\xff"},"done":false}\n', END),
        (OK, b"x" * (3 << 20)),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 16\r\n\r\n" + b'{"error":"boom"}',),
        (OK, b'{"error":"the runner has stopped"}\n'),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",),
    ],
)
def test_what_is_no_answer_is_a_502(guarded, bad, pieces):
    bad.behave = sends(*pieces)
    answer = ask(guarded)
    assert answer.status_code == 502, answer.text
    error = answer.json()["error"]
    assert error["code"] == "upstream_failed"
    assert "the upstream 'b'" in error["message"]
    assert str(bad.port) not in error["message"], "where it is is nobody's business"
    assert guarded.chat("Hi", model="toy", max_tokens=2).finish_reason == "length"


def test_silence_is_a_504(guarded, bad):
    bad.behave = lambda connection, n: time.sleep(3)
    answer = ask(guarded)
    assert answer.status_code == 504, answer.text
    assert answer.json()["error"]["code"] == "upstream_timeout"


def test_a_stall_in_the_middle_is_an_error_event(guarded, bad):
    bad.behave = sends(OK, LINE, then=lambda: time.sleep(3))
    with guarded.stream("x", model="bad") as response:
        events = harness.parse_sse(response.iter_raw())
    assert [event["type"] for event in events][-2:] == ["chunk", "error"], events


def test_trying_again_ends_well(guarded, bad):
    first = bad.n_posts

    def busy_once(connection, n):
        if n == first + 1:
            connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(OK + LINE + LINE + END)

    bad.behave = busy_once
    answer = ask(guarded)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "word word "
    assert answer.json()["usage"]["completion_tokens"] == 2
    assert bad.n_posts == first + 2
    assert bad.headers["Authorization"] == "Bearer sk-very-secret"


def test_nothing_is_tried_again_after_the_first_token(guarded, bad):
    first = bad.n_posts
    bad.behave = sends(OK, LINE)
    assert ask(guarded).status_code == 502
    assert bad.n_posts == first + 1


def test_a_client_that_does_not_read_holds_up_the_remote(guarded, bad):
    sent = []
    line = b'{"message":{"role":"assistant","content":"' + b"x" * 8000 + b'"},"done":false}\n'

    def flood(connection, _n):
        connection.settimeout(20)
        connection.sendall(OK)
        for _ in range(20_000):  # 160 MB
            connection.sendall(line)
            sent.append(len(line))
        connection.sendall(END)

    bad.behave = flood
    def memory():
        return int(pathlib.Path(f"/proc/{guarded.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = memory()
    with guarded.stream("x", model="bad") as response:
        next(response.iter_raw(16))
        level = 0
        for _ in range(40):
            time.sleep(0.25)
            if len(sent) == level and level > 0:
                break
            level = len(sent)
        assert sum(sent) < 40 << 20, "the remote was not held up"
        assert memory() - before < 32 << 20
    wait_until("it was let go", lambda: states(guarded)["bad"]["remote"]["running"] == 0, 20)


def test_a_refused_connection_is_told_and_its_return_is_seen(start_server, toy):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    front = start_server("--model", toy, UPSTREAMS=f"r={address('openai', port)}", UPSTREAM_POLL_S="1")
    assert ask(front).status_code == 404
    remote = start_server("--model", f"bad={toy.split('=', 1)[1]}", "--port", str(port))
    wait_until("the model is listed", lambda: has("bad")(front), 90)
    assert ask(front).status_code == 200
    assert remote.port == port


def test_settings_that_are_wrong_are_refused_without_their_secrets(tmp_path):
    for value in ("x", "a=ollama+ftp://h", "a=http://h", "a=ollama+http://user:hunter2@h", "a b=ollama+http://h",
                  "a=ollama+http://h,a=ollama+http://i"):  # fmt: skip
        ran = harness.run_binary("config", folder=tmp_path, environment={"UPSTREAMS": value})
        assert ran.returncode != 0, value
        assert "UPSTREAMS" in ran.stderr and "hunter2" not in ran.stderr, ran.stderr
    good = {"UPSTREAMS": "a=openai+https://h", "UPSTREAM_KEYS": "a=sk-1"}
    shown = harness.run_binary("config", folder=tmp_path, environment=good)
    assert "sk-1" not in shown.stdout and "openai+https://h/v1" in shown.stdout
