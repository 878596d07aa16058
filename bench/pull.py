#!/usr/bin/env python3
"""Pulling a model of 1 GB from a registry on this machine (Debian's docker-registry), against curl.

    rate    bytes a second of `sutazai pull`, which sums and syncs what comes, against `curl -o` of the same blob onto the
            same disk, which does neither, and against curl, sha256sum and sync one after the other; they take turns
    memory  the largest resident memory of `sutazai pull`
    kill    what the state of a download did not know of the bytes on the disk when kill -9 ended it half way

Prints the columns of run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import run

BYTES = 1_000_000_000
RATE_BAR = 0.8
SAME_WORK_BAR = 1.0
MEMORY_BAR_MB = 100.0
PART_MIB = 64.0  # src/fetch/partial_file.h, kMostUnsaved


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", default="", help="PULL_CONNECTIONS; default: the product's own")
    parser.add_argument("--folder", help="where everything lies while it runs (default: build/)")
    parser.add_argument("--sutazai", metavar="FILE", help="our binary (default build/release/sutazai)")
    parser.add_argument("--output", help="as in run.py")
    return parser.parse_args()


class Registry:
    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self):
        config = self.folder / "registry.yml"
        config.write_text("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.folder}/registry}}}}\n"
                          f'http: {{addr: "{self.host}"}}\n')
        with open(self.folder / "registry.log", "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).read()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"docker-registry does not answer: see {self.folder}/registry.log")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Pull:
    def __init__(self, binary, folder, registry, connections):
        self.binary, self.folder, self.name = binary, folder, f"{registry.host}/bench/large:v1"
        self.home = folder / "home"
        self.environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.environment |= {"SUTAZAI_HOME": str(self.home), "OLLAMA_MODELS": "off", "HF_HUB_CACHE": "off"}
        if connections:
            self.environment["PULL_CONNECTIONS"] = connections

    def start(self, verb="pull", home=None):
        with open(self.folder / "sutazai.log", "wb") as log:
            environment = self.environment | ({"SUTAZAI_HOME": str(home)} if home else {})
            return subprocess.Popen([self.binary, verb, self.name, "--insecure"], env=environment, cwd=self.folder,
                                    stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def finish(self, process):
        """Its largest resident memory in MB."""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError((self.folder / "sutazai.log").read_text())
        return usage.ru_maxrss * 1024 / 1e6

    def forget(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.sync()  # what is written late would be the next one's burden


def publish(pull, folder):
    """A model whose file has noise behind its tensors, into the registry. Its blob's URL."""
    toy = folder / "toy.gguf"
    subprocess.run([pull.binary, "model", "synth", "--preset", "toy", "--output", str(toy)], check=True,
                   stdout=subprocess.DEVNULL)
    store = folder / "publisher/store"
    (store / "blobs").mkdir(parents=True)
    large = store / "blobs/new"
    with open(large, "wb") as out:
        out.write(toy.read_bytes())
        while (left := BYTES - out.tell()) > 0:
            out.write(os.urandom(min(left, 1 << 22)))
    with open(large, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    large.rename(store / f"blobs/sha256-{digest}")
    config = b'{"model_format": "gguf"}'
    of_config = hashlib.sha256(config).hexdigest()
    (store / f"blobs/sha256-{of_config}").write_bytes(config)
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                           "digest": f"sha256:{of_config}", "size": len(config)},
                "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}",
                            "size": BYTES}]}
    host = pull.name.split("/")[0]
    place = store / f"manifests/{host}/bench/large/v1"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(manifest))
    pull.finish(pull.start("push", folder / "publisher"))
    shutil.rmtree(folder / "publisher")
    return f"http://{host}/v2/bench/large/blobs/sha256:{digest}"


def rates(pull, url, folder, rounds):
    ours, curls, works, memory = [], [], [], []
    for side in run.turns(["sutazai", "curl"], rounds):
        if side == "sutazai":
            pull.forget()
            begin = time.monotonic()
            memory.append(pull.finish(pull.start()))
            ours.append(BYTES / (time.monotonic() - begin) / 1e6)
            pull.forget()
        else:
            begin = time.monotonic()
            subprocess.run(["curl", "-sf", "-o", str(folder / "curl"), url], check=True)
            curls.append(BYTES / (time.monotonic() - begin) / 1e6)
            subprocess.run(["sha256sum", str(folder / "curl")], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["sync", str(folder / "curl")], check=True)
            works.append(BYTES / (time.monotonic() - begin) / 1e6)
            (folder / "curl").unlink()
            os.sync()
        print(f"  {side}: {(ours if side == 'sutazai' else curls)[-1]:.0f} MB/s", file=sys.stderr)
    return ours, curls, works, memory


def lost_by_a_kill(pull, share):
    """MiB on the disk that the state did not know of; the pull that goes on from there must end well."""
    pull.forget()
    process = pull.start()
    blobs = pull.home / "store/blobs"
    written = 0
    while written < share * BYTES:
        if process.poll() is not None:
            raise RuntimeError("the pull ended before it was killed")
        time.sleep(0.001)
        written = max((path.stat().st_blocks * 512 for path in blobs.glob("*-partial")), default=0)
    process.kill()
    process.wait()
    partial = next(blobs.glob("*-partial"))
    # Blocks that are given out late are not in st_blocks; what of the file holds data is.
    known = sum(end - begin for begin, end in json.loads(pathlib.Path(f"{partial}-state").read_text())["done"])
    lost = data_bytes(partial) - known
    pull.finish(pull.start())
    return lost / (1 << 20)


def data_bytes(path):
    with open(path, "rb") as file:
        size, at, total = os.fstat(file.fileno()).st_size, 0, 0
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            total += at - begin
        return total


def row(measure, ours, other, value, bar, passes):
    return {"workload": "pull-1gb", "measure": measure, "sutazai": ours, "curl": other, "value": value, "bar": bar,
            "passes": passes}


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the registry
    root = pathlib.Path(__file__).resolve().parents[1]
    binary = os.path.abspath(options.sutazai or root / "build/release/sutazai")
    if shutil.which("docker-registry") is None:
        sys.exit("docker-registry is missing: make deps")
    with tempfile.TemporaryDirectory(prefix="bench-pull-", dir=options.folder or root / "build") as scratch:
        folder = pathlib.Path(scratch)
        with Registry(folder) as registry:
            pull = Pull(binary, folder, registry, options.connections)
            url = publish(pull, folder)
            ours, curls, works, memory = rates(pull, url, folder, options.rounds)
            lost = [lost_by_a_kill(pull, share) for share in (0.3, 0.5, 0.7)]
    ratio = statistics.median(ours) / statistics.median(curls)
    same = statistics.median(ours) / statistics.median(works)
    rows = [row("MB/s", ours, curls, ratio, RATE_BAR, ratio >= RATE_BAR),
            row("with sum and sync", ours, works, same, SAME_WORK_BAR, same >= SAME_WORK_BAR),
            row("memory MB", memory, [], max(memory), MEMORY_BAR_MB, max(memory) <= MEMORY_BAR_MB),
            row("lost by a kill MiB", lost, [], max(lost), PART_MIB, max(lost) <= PART_MIB)]
    print(f"{'workload':12}{'measure':22}{'sutazai':>10}{'curl':>10}{'held':>8}{'bar':>8}")
    for each in rows:
        one, other = (f"{statistics.median(each[side]):.1f}" if each[side] else "" for side in ("sutazai", "curl"))
        print(f"{each['workload']:12}{each['measure']:22}{one:>10}{other:>10}{each['value']:8.2f}{each['bar']:8.2f}"
              f"  {'pass' if each['passes'] else 'FAIL'}")
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "rows": rows})
    return 0 if all(each["passes"] for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
