"""Pull and push against real servers, with what goes wrong on the way."""

import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import time

import harness
import ollama
import pytest
import registries
from ollama_store import Store

MIB = 1 << 20
#: What a kill may cost, and what sockets may hold besides.
PART = 64 * MIB
IN_FLIGHT = 16 * MIB
BIG = 160 * MIB
SECRET = registries.USER.split(":")[1]


@pytest.fixture(scope="module")
def weights(model_file, tmp_path_factory):
    """weights(extra): a toy model, with so many bytes behind its tensors that belong to nothing."""
    folder = tmp_path_factory.mktemp("weights")

    def make(extra: int = 0) -> pathlib.Path:
        path = folder / f"model-{extra}.gguf"
        if not path.exists():
            noise = os.urandom(MIB)
            with open(path, "wb") as out:
                out.write(model_file(1).read_bytes())
                for at in range(0, extra, MIB):
                    out.write(noise[: extra - at])
                    noise = noise[1:] + noise[:1]
        return path

    return make


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with registries.registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def published(registry, weights, tmp_path_factory):
    """The registry's host; it has library/tiny:v1 and library/big:v1."""
    folder = tmp_path_factory.mktemp("publisher")
    store = Store(folder / "home/store")
    store.put(f"{registry}/library/tiny/v1", weights(), params={"temperature": 0}, system="Be brief.")
    store.put(f"{registry}/library/big/v1", weights(BIG))
    for name in ("tiny", "big"):
        pushed = command(folder, "push", f"{registry}/library/{name}:v1", "--insecure")
        assert pushed.returncode == 0, pushed.stderr
    return registry


def command(folder: pathlib.Path, *arguments: str, **options):
    return harness.run_binary(*arguments, folder=folder, **options)


def mirrored(host: str, **more: str) -> dict[str, str]:
    """The environment in which Ollama's registry is `host`."""
    return {"PULL_HOSTS": "registry.ollama.ai", "PULL_MIRRORS": f"registry.ollama.ai=http://{host}", **more}


def start(folder: pathlib.Path, *arguments: str, environment: dict[str, str]) -> subprocess.Popen:
    settings = harness.clean_environment(SUTAZAI_HOME=str(folder / "home"), **environment)
    return subprocess.Popen([harness.BINARY, *arguments], cwd=folder, env=settings, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def manifest(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / "home/store/manifests" / name


def has_big(folder: pathlib.Path, weights) -> bool:
    digest = hashlib.sha256(weights(BIG).read_bytes()).hexdigest()
    blob = folder / f"home/store/blobs/sha256-{digest}"
    return blob.exists() and hashlib.sha256(blob.read_bytes()).hexdigest() == digest


def partials(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in (folder / "home/store/blobs").glob("*-partial*"))


def test_what_was_pushed_is_pulled_to_the_byte(published, weights, tmp_path):
    pulled = command(tmp_path, "pull", f"{published}/library/tiny:v1", "--insecure")
    assert pulled.returncode == 0, pulled.stderr
    lines = [re.sub(r" +\[.*", "", line) for line in pulled.stderr.splitlines()]
    assert lines[0] == "pulling manifest"
    assert re.fullmatch(r"pulling [0-9a-f]{12}  100%", lines[1]), lines
    assert lines[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    ours = manifest(tmp_path, f"{published}/library/tiny/v1").read_bytes()
    there = harness.httpx.get(f"http://{published}/v2/library/tiny/manifests/v1",
                              headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"})  # fmt: skip
    assert there.content == ours
    assert f"{published}/library/tiny:v1" in command(tmp_path, "list").stdout
    ran = command(tmp_path, "run", f"{published}/library/tiny:v1", "Hello", "--max-tokens", "4")
    assert ran.returncode == 0 and ran.stdout, ran.stderr

    with registries.FaultProxy(published) as proxy:
        again = command(tmp_path, "pull", "tiny:v1", environment=mirrored(proxy.host))
        assert again.returncode == 0, again.stderr
        assert proxy.sent < 4096, "only the manifest: the blobs are there"
    assert manifest(tmp_path, "registry.ollama.ai/library/tiny/v1").read_bytes() == ours


def test_a_pull_through_cache(published, tmp_path):
    with registries.registry(tmp_path / "cache", upstream=published) as cache:
        pulled = command(tmp_path, "pull", "tiny:v1", environment=mirrored(cache))
        assert pulled.returncode == 0, pulled.stderr
    assert "tiny:v1 " in command(tmp_path, "list").stdout, "under the name that it has everywhere"


def test_certificates_are_checked(published, tmp_path):
    proxied = f"location / {{ proxy_pass http://{published}; proxy_set_header Host $http_host; proxy_buffering off; }}"
    with registries.nginx(tmp_path / "tls", proxied, tls=True) as host:
        environment = {"PULL_HOSTS": "", "PULL_MIRRORS": f"registry.ollama.ai=https://{host}"}
        refused = command(tmp_path, "pull", "tiny:v1", environment=environment)
        assert refused.returncode == 1 and "certificate" in refused.stderr, refused.stderr
        trusted = environment | {"SSL_CERT_FILE": str(tmp_path / "tls/cert.pem")}
        pulled = command(tmp_path, "pull", "tiny:v1", environment=trusted)
        assert pulled.returncode == 0, pulled.stderr


def test_run_pulls_what_is_missing(published, tmp_path):
    ran = command(tmp_path, "run", "tiny:v1", "Hello", "--max-tokens", "4", environment=mirrored(published))
    assert ran.returncode == 0 and ran.stdout, ran.stderr
    assert "pulling manifest" in ran.stderr and "success" in ran.stderr
    offline = command(tmp_path, "run", "nothing:v1", "Hello", environment={"PULL_HOSTS": ""})
    assert offline.returncode == 1
    assert "no model" in offline.stderr and "pulling" not in offline.stderr, offline.stderr
    unknown = command(tmp_path, "run", "nothing:v1", "Hello", environment=mirrored(published))
    assert unknown.returncode == 1
    assert "has no model nothing:v1" in unknown.stderr and "there is no model" in unknown.stderr, unknown.stderr


def test_create_pulls_what_it_is_made_from(published, start_server, tmp_path):
    server = start_server(**mirrored(published))
    with server.client.stream("POST", server.url + "/api/create",
                              json={"model": "made", "from": "tiny:v1", "parameters": {"top_k": 3}}) as answer:  # fmt: skip
        assert answer.status_code == 200
        lines = [json.loads(line) for line in answer.iter_lines()]
    words = [line["status"] for line in lines]
    assert words[0] == "pulling manifest" and words[-1] == "success", words
    assert any(line.get("completed") for line in lines if "digest" in line)
    shown = server.post("/api/show", {"model": "made"}).json()
    assert "Be brief." in shown["modelfile"], "what the base says goes with it"
    assert "top_k" in shown["parameters"]
    for name, wanted in (("nothing:v1", 404), ("elsewhere.example/a/b:c", 404)):
        refused = server.post("/api/create", {"model": "x", "from": name})
        assert refused.status_code == wanted and "there is no model" in refused.json()["error"], refused.text

    (tmp_path / "Modelfile").write_text("FROM tiny:v1\nSYSTEM Other.\n")
    made = command(tmp_path, "create", "mine", environment=mirrored(published))
    assert made.returncode == 0 and "pulling manifest" in made.stderr, made.stderr
    assert "Other." in command(tmp_path, "show", "mine", "--system").stdout
    offline = command(tmp_path / "..", "create", "mine", "-f", str(tmp_path / "Modelfile"),
                      environment={"PULL_HOSTS": "", "SUTAZAI_HOME": str(tmp_path / "empty")})  # fmt: skip
    assert offline.returncode == 1 and "PULL_HOSTS" in offline.stderr, offline.stderr


def test_blobs_of_another_store_are_not_downloaded(published, weights, tmp_path):
    other = Store(tmp_path / "ollama")
    other.put("else/latest", weights(BIG))
    with registries.FaultProxy(published) as proxy:
        environment = mirrored(proxy.host, OLLAMA_MODELS=str(tmp_path / "ollama"))
        pulled = command(tmp_path, "pull", "big:v1", environment=environment)
        assert pulled.returncode == 0, pulled.stderr
        assert proxy.sent < 8192
    assert has_big(tmp_path, weights)


def test_the_api_tells_as_ollama_does(published, start_server, tmp_path):
    server = start_server(**mirrored(published))
    with server.client.stream("POST", server.url + "/api/pull", json={"model": "tiny:v1"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert lines[0] == {"status": "pulling manifest"}
    assert [line["status"] for line in lines[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
    files = [line for line in lines if "digest" in line]
    assert {line["status"] for line in files} == {f"pulling {line['digest'][7:19]}" for line in files}
    assert any(line["total"] == line["completed"] > 100_000 for line in files if "completed" in line)
    answer = server.post("/api/chat", {"model": "tiny:v1", "messages": harness.user("Hi"), "stream": False,
                                       "options": {"num_predict": 2}})  # fmt: skip
    assert answer.status_code == 200, answer.text

    client = ollama.Client(host=server.url)
    assert client.pull("tiny:v1").status == "success"
    assert [line.status for line in client.pull("tiny:v1", stream=True)][-1] == "success"
    whole = server.post("/api/pull", {"model": "tiny:v1", "stream": False})
    assert (whole.status_code, whole.json()) == (200, {"status": "success"})


def test_errors_of_the_api(published, start_server):
    server = start_server(**mirrored(published))

    def refused(path: str, **body) -> tuple[int, str]:
        answer = server.post(path, {"stream": False, **body})
        return answer.status_code, answer.json()["error"]

    assert refused("/api/pull", model="tiny:nothing")[0] == 404
    status, message = refused("/api/pull", model="example.org/a/b")
    assert status == 403 and "example.org is none of the hosts of PULL_HOSTS" in message
    status, message = refused("/api/pull", model="http://127.0.0.1:1/x.gguf", insecure=True)
    assert status == 403 and "PULL_HOSTS" in message
    status, message = refused("/api/pull", model="../../etc/passwd")
    assert status == 400 and "is no name of a model" in message
    assert refused("/api/pull")[0] == 400
    assert refused("/api/push", model="nothing")[0] == 404
    status, message = refused("/api/push", model="hf.co/a/b")
    assert status == 400 and "only to registries" in message
    client = ollama.Client(host=server.url)
    with pytest.raises(ollama.ResponseError, match="has no model"):
        list(client.pull("tiny:nothing", stream=True))


def test_only_administrators_pull(published, start_server):
    server = start_server(API_KEYS="user", ADMIN_API_KEYS="admin", **mirrored(published))
    for key, status in [("user", 403), ("admin", 200)]:
        answer = server.post("/api/pull", {"model": "tiny:v1", "stream": False},
                             headers={"Authorization": f"Bearer {key}"})  # fmt: skip
        assert answer.status_code == status, answer.text


def test_push_through_the_api_with_credentials(weights, start_server, tmp_path):
    with registries.registry(tmp_path / "registry", asks_who=True) as host:
        store = Store(tmp_path / "server0/home/store")
        store.put(f"{host}/me/tiny/v1", weights())
        server = start_server(PULL_PRIVATE_HOSTS=host, REGISTRY_AUTH=f"{host}=me:{SECRET}", LOG_LEVEL="trace")
        client = ollama.Client(host=server.url)
        lines = list(client.push(f"{host}/me/tiny:v1", insecure=True, stream=True))
        statuses = [line.status for line in lines]
        assert statuses[0] == "retrieving manifest" and statuses[-2:] == ["pushing manifest", "success"]
        assert any(re.fullmatch("pushing [0-9a-f]{12}", status) for status in statuses)
        assert client.push(f"{host}/me/tiny:v1", insecure=True).status == "success"
        assert SECRET not in server.log() and "bWU6" not in server.log(), "nor as base64"

        without = command(tmp_path, "pull", f"{host}/me/tiny:v1", "--insecure")
        assert without.returncode == 1 and "asks for credentials" in without.stderr
        wrong = command(tmp_path, "pull", f"{host}/me/tiny:v1", "--insecure",
                        environment={"REGISTRY_AUTH": f"{host}=me:other"})  # fmt: skip
        assert wrong.returncode == 1 and "401" in wrong.stderr and "other" not in wrong.stderr
        known = command(tmp_path, "pull", f"{host}/me/tiny:v1", "--insecure", "--log-level", "trace",
                        environment={"REGISTRY_AUTH": f"{host}=me:{SECRET}"})  # fmt: skip
        assert known.returncode == 0, known.stderr
        assert SECRET not in known.stderr


def test_connections_that_are_cut(published, weights, tmp_path):
    with registries.FaultProxy(published, lambda n: ("cut", 7 * MIB) if n < 12 else None) as proxy:
        pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
        assert pulled.returncode == 0, pulled.stderr
        assert proxy.connections > 4
        assert proxy.sent < BIG + IN_FLIGHT, "what had come was not asked for again"
    assert has_big(tmp_path, weights) and not partials(tmp_path)


def test_connections_that_stall(published, weights, tmp_path):
    with registries.FaultProxy(published, lambda n: ("stall", 5 * MIB) if n in (2, 3) else None) as proxy:
        pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host, PULL_STALL_TIMEOUT_S="1"))
        assert pulled.returncode == 0, pulled.stderr
    assert has_big(tmp_path, weights)


def test_what_comes_wrong_is_not_kept(published, weights, tmp_path):
    with registries.FaultProxy(published, lambda n: ("corrupt", 3 * MIB)) as proxy:
        pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
    assert pulled.returncode == 1
    assert "has another digest" in pulled.stderr, pulled.stderr
    assert not partials(tmp_path) and not has_big(tmp_path, weights)
    assert not manifest(tmp_path, "registry.ollama.ai/library/big/v1").exists()
    assert command(tmp_path, "pull", "big:v1", environment=mirrored(published)).returncode == 0


def slow(published) -> registries.FaultProxy:
    return registries.FaultProxy(published, bytes_per_second=60 * MIB)


def test_a_kill_costs_one_part_at_most(published, weights, tmp_path):
    with slow(published) as proxy:
        pulling = start(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
        harness.wait_until("much has come", lambda: proxy.sent > 0.7 * BIG)
        pulling.send_signal(signal.SIGKILL)
        pulling.communicate()
        assert len(partials(tmp_path)) == 2, "the part and its state"
        time.sleep(0.3)
        before = proxy.sent
        pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
        assert pulled.returncode == 0, pulled.stderr
        assert proxy.sent - BIG < PART + IN_FLIGHT, f"{before} before, {proxy.sent} in all"
    assert has_big(tmp_path, weights) and not partials(tmp_path)


def test_ctrl_c_ends_at_once_and_the_next_pull_goes_on(published, weights, tmp_path):
    with slow(published) as proxy:
        pulling = start(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
        harness.wait_until("much has come", lambda: proxy.sent > BIG / 2)
        begin = time.monotonic()
        pulling.send_signal(signal.SIGINT)
        output, _ = pulling.communicate(timeout=20)
        assert time.monotonic() - begin < 1.5 * harness.SLOWDOWN
        assert pulling.returncode == 130
        assert "the next pull goes on from there" in output
        pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
        assert pulled.returncode == 0, pulled.stderr
        assert proxy.sent < BIG + IN_FLIGHT
    assert has_big(tmp_path, weights)


def test_pulls_of_one_model_are_one(published, weights, start_server, tmp_path):
    """Two clients of a server and another process."""
    with slow(published) as proxy:
        server = start_server(**mirrored(proxy.host))
        home = tmp_path / "server0"
        pulling = start(home, "pull", "big:v1", environment=mirrored(proxy.host))
        harness.wait_until("it has begun", lambda: proxy.sent > 4 * MIB)
        clients = [ollama.Client(host=server.url).pull("big:v1", stream=True) for _ in range(2)]
        progress = [next(line for line in client if line.completed and line.total > MIB) for client in clients]
        assert all(4 * MIB <= line.completed < line.total == weights(BIG).stat().st_size for line in progress)
        assert [list(client)[-1].status for client in clients] == ["success"] * 2
        output, _ = pulling.communicate(timeout=20)
        assert pulling.returncode == 0, output
        assert proxy.sent < BIG + IN_FLIGHT
    assert has_big(home, weights)


def test_a_client_that_goes_away_ends_the_pull(published, start_server, tmp_path):
    with slow(published) as proxy:
        server = start_server(**mirrored(proxy.host))
        with server.client.stream("POST", server.url + "/api/pull", json={"model": "big:v1"}) as answer:
            lines = answer.iter_lines()  # dropping it would end the connection
            next(line for line in lines if '"completed"' in line)
            harness.wait_until("it has begun", lambda: proxy.sent > 4 * MIB)
        begin = time.monotonic()
        harness.wait_until("its connections are gone", lambda: proxy.open == 0, 3)
        assert time.monotonic() - begin < 3 * harness.SLOWDOWN
        assert len(partials(tmp_path / "server0")) == 2

        with server.client.stream("POST", server.url + "/api/pull", json={"model": "big:v1"}) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if '"completed"' in line)
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            lines = [json.loads(line) for line in lines]
        assert lines[-1] == {"error": "cancelled"}
        server.process.wait(10)
        assert time.monotonic() - begin < 3 * harness.SLOWDOWN, "a pull holds up no end"


def test_a_full_disk(published, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60 * MIB, 60 * MIB))

    pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(published), preexec_fn=limited)
    assert pulled.returncode == 1
    assert "cannot write" in pulled.stderr and "File too large" in pulled.stderr, pulled.stderr
    assert not manifest(tmp_path, "registry.ollama.ai/library/big/v1").exists()
    assert command(tmp_path, "pull", "big:v1", environment=mirrored(published)).returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
def test_too_little_room_is_said_before(published, tmp_path):
    store = tmp_path / "home/store"
    store.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(store)]).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        with registries.FaultProxy(published) as proxy:
            pulled = command(tmp_path, "pull", "big:v1", environment=mirrored(proxy.host))
            assert pulled.returncode == 1
            assert re.search(r"\d+ MiB more are needed in .*blobs, and [\d.]+ MiB are free", pulled.stderr), pulled.stderr
            assert proxy.sent < 8192
    finally:
        subprocess.run(["umount", str(store)], check=True)


@pytest.fixture
def hub(weights, tmp_path):
    """Hugging Face's layout: a list of files, and files that are elsewhere. Its host and the other one."""
    content = weights(3 * MIB).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    cdn, site = tmp_path / "cdn", tmp_path / "hub"
    (cdn / "files").mkdir(parents=True)
    (cdn / "files/blob").write_bytes(content)
    large = {"lfs": {"oid": digest, "size": len(content), "pointerSize": 134}}
    tree = [{"type": "file", "path": path, "size": 134, **large}
            for path in ("tiny-Q4_K_M.gguf", "sub/tiny-Q8_0.gguf", "big-F16-00001-of-00002.gguf", "big-F16-00002-of-00002.gguf")]
    listed = site / "files/api/models/org/Tiny-GGUF/tree/main"
    listed.parent.mkdir(parents=True)
    listed.write_text(json.dumps([*tree, {"type": "file", "path": "README.md", "size": 7}]))
    with registries.nginx(cdn, "") as other:
        locations = f"location ~ ^/org/Tiny-GGUF/resolve/main/.*Q {{ return 302 http://{other}/blob?signature=1; }}"
        with registries.nginx(site, locations) as host:
            yield host, other


def hugging_face(host: str, **more: str) -> dict[str, str]:
    return {"PULL_MIRRORS": f"huggingface.co=http://{host}", "HF_TOKEN": "hf_" + SECRET, **more}


def test_hugging_face(hub, weights, tmp_path):
    host, other = hub
    environment = hugging_face(host, PULL_PRIVATE_HOSTS=other)
    for asked, name in [("hf.co/org/Tiny-GGUF", "latest"), ("huggingface.co/org/Tiny-GGUF:q8_0", "q8_0")]:
        pulled = command(tmp_path, "pull", asked, environment=environment)
        assert pulled.returncode == 0, pulled.stderr
        made = json.loads(manifest(tmp_path, f"hf.co/org/Tiny-GGUF/{name}").read_text())
        assert made["layers"][0]["digest"] == "sha256:" + hashlib.sha256(weights(3 * MIB).read_bytes()).hexdigest()
    ran = command(tmp_path, "run", "hf.co/org/Tiny-GGUF", "Hello", "--max-tokens", "4", environment=environment)
    assert ran.returncode == 0 and ran.stdout, ran.stderr
    requests = (tmp_path / "cdn/access.log").read_text().splitlines()
    assert sum("GET /blob?signature=1" in line for line in requests) == 1, "the second name has the same file"

    split = command(tmp_path, "pull", "hf.co/org/Tiny-GGUF:F16", environment=environment)
    assert split.returncode == 1 and "split into 2 files" in split.stderr and "hf download" in split.stderr
    absent = command(tmp_path, "pull", "hf.co/org/Tiny-GGUF:IQ1_S", environment=environment)
    assert absent.returncode == 1 and "there are Q4_K_M, Q8_0, F16" in absent.stderr, absent.stderr
    unknown = command(tmp_path, "pull", "hf.co/org/nothing", environment=environment)
    assert unknown.returncode == 1 and "has no repository org/nothing" in unknown.stderr


def test_redirects_to_private_addresses_are_refused(hub, tmp_path):
    host, other = hub
    pulled = command(tmp_path, "pull", "hf.co/org/Tiny-GGUF", environment=hugging_face(host))
    assert pulled.returncode == 1
    assert f"{host} redirects to {other}" in pulled.stderr, pulled.stderr
    assert "GET /blob" not in (tmp_path / "cdn/access.log").read_text()
    assert "signature" not in pulled.stderr and SECRET not in pulled.stderr


def test_a_file_from_a_url(weights, start_server, tmp_path):
    (tmp_path / "site/files").mkdir(parents=True)
    shutil.copy(weights(3 * MIB), tmp_path / "site/files/My Model.Q4.gguf")
    (tmp_path / "site/files/broken.gguf").write_bytes(b"no model" * 100)
    with registries.nginx(tmp_path / "site", "") as host:
        url = f"http://{host}/My%20Model.Q4.gguf"
        refused = command(tmp_path, "pull", url)
        assert refused.returncode == 1 and "--insecure" in refused.stderr
        pulled = command(tmp_path, "pull", url, "--insecure", "--as", "mine:v1")
        assert pulled.returncode == 0, pulled.stderr
        ran = command(tmp_path, "run", "mine:v1", "Hello", "--max-tokens", "4")
        assert ran.returncode == 0 and ran.stdout, ran.stderr
        broken = command(tmp_path, "pull", f"http://{host}/broken.gguf", "--insecure")
        assert broken.returncode == 1 and "what came is no usable model" in broken.stderr
        assert not partials(tmp_path)

        server = start_server(PULL_PRIVATE_HOSTS=host)
        done = server.post("/api/pull", {"model": url, "insecure": True, "stream": False})
        assert done.status_code == 200, done.text
        assert "My-20Model.Q4:latest" in [model["name"] for model in server.client.get(server.url + "/api/tags").json()["models"]]


def test_models_that_this_server_cannot_use(registry, weights, tmp_path):
    store = Store(tmp_path / "home/store")

    def publish(name: str, change):
        path = store.put(f"{registry}/odd/{name}/v1", weights())
        made = json.loads(path.read_text())
        change(made)
        path.write_text(json.dumps(made))
        pushed = command(tmp_path, "push", f"{registry}/odd/{name}:v1", "--insecure")
        assert pushed.returncode == 0, pushed.stderr
        path.unlink()
        return command(tmp_path / name, "pull", f"{registry}/odd/{name}:v1", "--insecure")

    def tensors(made):
        made["layers"][0]["mediaType"] = "application/vnd.ollama.image.tensor"

    def safetensors(made):
        made["config"] |= store.put_blob(b'{"model_format": "safetensors"}')

    def broken(made):
        made["layers"][0] |= store.put_blob(b"no model" * 100)

    def more(made):
        made["layers"].append({"mediaType": "application/vnd.example.unknown"} | store.put_blob(b"what is this"))

    for name in ("tensors", "safetensors", "broken", "more"):
        (tmp_path / name).mkdir()
    assert "made of safetensors" in publish("tensors", tensors).stderr
    assert "has the format safetensors" in publish("safetensors", safetensors).stderr
    assert "what came is no usable model" in publish("broken", broken).stderr
    kept = publish("more", more)
    assert kept.returncode == 0, kept.stderr
    blobs = [path.name for path in (tmp_path / "more/home/store/blobs").iterdir()]
    assert "sha256-" + hashlib.sha256(b"what is this").hexdigest() in blobs, "layers of unknown kinds are kept"
