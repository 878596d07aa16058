#!/usr/bin/env python3
"""Shows the advanced features of a running server, and checks them: health, cache management, a batch, a stream.

    scripts/test_advanced_features.py [--url http://127.0.0.1:8080] [--model NAME] [--api-key KEY] [--json]

Ends with 0 when all is well, with 1 when something is wrong, which is told on standard error. Needs Python alone.
"""

import argparse
import http.client
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

PREFIX = "/api/v1/streaming"
PROMPTS = ["Write a short sentence about AI.", "Explain machine learning.", "What is deep learning?"]
QUESTION = "Explain advanced computing"


class Wrong(Exception):
    """What is wrong, as a sentence."""


class Waiting:
    """A line on standard error that counts the seconds of what takes long; only where somebody can see it."""

    PAUSE_S = 0.5

    def __init__(self, what):
        self.what = what
        self.note = ""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        if sys.stderr.isatty():
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def run(self):
        begun = time.monotonic()
        while not self.over.wait(self.PAUSE_S):
            seconds = time.monotonic() - begun
            print(f"\r\033[K   {self.what}: {seconds:.0f} s{self.note}", end="", file=sys.stderr, flush=True)


class Server:
    def __init__(self, options):
        self.url = options.url.rstrip("/")
        self.key = options.api_key
        self.timeout = options.timeout
        # The server is near; a proxy that is meant for the world would not find it.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def open(self, path, body=None):
        headers = {"Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        try:
            request = urllib.request.Request(self.url + path, data=data, headers=headers)
            return self.opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as refused:
            return refused
        except (OSError, ValueError, http.client.HTTPException) as failure:
            reason = getattr(failure, "reason", failure)
            raise Wrong(f"no server answers at {self.url}: {reason or type(failure).__name__}") from failure

    def ask(self, path, body=None, fine=(200,)):
        """The JSON object that comes."""
        try:
            with self.open(path, body) as answer:
                status = answer.status
                text = answer.read()
        except (OSError, http.client.HTTPException) as failure:
            raise Wrong(f"the answer of {path} broke off: {failure or type(failure).__name__}") from failure
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if status not in fine or not isinstance(told, dict):
            raise Wrong(refusal(path, status, told))
        return told


def refusal(path, status, told):
    error = told.get("error") if isinstance(told, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    said = f": {message}" if isinstance(message, str) else ""
    if status == 401:
        said += " (say --api-key, or set SUTAZAI_API_KEY)"
    if status == 200:
        return f"{path} answers with what is no JSON object"
    return f"{path} answers with status {status}{said}"


def need(told, name, kind):
    """A field of an answer, which must be of that kind."""
    value = told.get(name)
    numbers = kind in (int, float)
    if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
        return kind(value)
    if numbers or not isinstance(value, kind):
        raise Wrong(f'the answer has no "{name}" as it should be: {json.dumps(value)}')
    return value


def check_health(server, _options, say):
    say("Testing Advanced Health Check")
    told = server.ask(PREFIX + "/health/advanced", fine=(200, 503))
    status = need(told, "status", str)
    gpu = need(told, "gpu_available", bool)
    processors = need(told, "active_processors", int)
    say(f"Advanced Health Status: {status}")
    say(f"   GPU Available: {json.dumps(gpu)}")
    say(f"   Active Processors: {processors}")
    yield {"status": status, "gpu_available": gpu, "active_processors": processors}
    if status != "healthy":
        reasons = told.get("reasons") or ["the server does not say why"]
        raise Wrong(f"the server is {status}: " + " ".join(str(reason) for reason in reasons))


def check_cache(server, _options, say):
    say("Testing Cache Management  ")  # the blanks are the specification's
    told = server.ask(PREFIX + "/cache/manage", {"action": "status"})
    total = need(told, "total_models", int)
    warmed = need(told, "warmed_models", int)
    rate = need(told, "cache_hit_rate", float)
    say("Cache Status:")
    say(f"   Total models: {total}")
    say(f"   Warmed models: {warmed}")
    say(f"   Cache hit rate: {rate:.1f}%")
    yield {"total_models": total, "warmed_models": warmed, "cache_hit_rate": rate}
    if not 0 <= rate <= 100 or warmed > total:
        raise Wrong("the figures of the cache contradict one another")


def check_batch(server, options, say):
    say("Testing Batch Processing")
    requests = [{"prompt": prompt, "max_tokens": options.max_tokens} for prompt in PROMPTS]
    body = {"requests": requests, "batch_size": 8}
    if options.model:
        body["model"] = options.model
    begun = time.monotonic()
    with Waiting("waiting for the batch"):
        told = server.ask(PREFIX + "/batch/process", body)
    seconds = time.monotonic() - begun
    rate = need(told, "success_rate", float)
    results = need(told, "results", list)
    say(f"Batch processing completed in {seconds:.2f}s")
    say(f"   Success rate: {100 * rate:.1f}%")
    yield {"seconds": round(seconds, 3), "success_rate": rate, "results": len(results)}
    if need(told, "total_requests", int) != len(PROMPTS) or len(results) != len(PROMPTS):
        raise Wrong(f"of {len(PROMPTS)} requests {len(results)} were answered")
    failed = [result for result in results if not (isinstance(result, dict) and result.get("success") is True)]
    if failed or rate < 1:
        raise Wrong(f"{len(failed)} requests of the batch failed, the first with {json.dumps((failed or [None])[0])}")


def events_of(lines):
    """The JSON of each "data:" line."""
    for line in lines:
        text = line.decode("utf-8", "replace").strip()
        if not text.startswith("data:"):
            continue
        try:
            event = json.loads(text[5:])
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise Wrong(f"the stream has an event that is no JSON object: {text[:100]}")
        yield event


def check_stream(server, options, say):
    say("Testing Streaming Chat")
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0.7, "stream": True,
            "max_tokens": options.max_tokens}  # fmt: skip
    if options.model:
        body["model"] = options.model
    path = PREFIX + "/chat/stream"
    begun = time.monotonic()
    kinds = []
    chunks = 0
    with Waiting("waiting for the stream") as waiting, server.open(path, body) as answer:
        if answer.status != 200:
            try:
                told = json.loads(answer.read())
            except ValueError:
                told = None
            raise Wrong(refusal(path, answer.status, told))
        try:
            for event in events_of(answer):
                kinds.append(event.get("type"))
                if kinds[-1] == "error":
                    raise Wrong(f"the stream ends with an error: {event.get('message') or event.get('error')}")
                if kinds[-1] == "chunk":
                    need(event, "content", str)
                    chunks += 1
                    waiting.note = f", {chunks} chunks"
        except (OSError, http.client.HTTPException) as failure:
            raise Wrong(f"the stream broke off after {chunks} chunks: {failure or type(failure).__name__}") from failure
    seconds = time.monotonic() - begun
    if kinds[-1:] != ["complete"]:
        raise Wrong(f"the stream broke off after {chunks} chunks")
    say(f"Streaming completed in {seconds:.1f}s with {chunks} chunks")
    yield {"seconds": round(seconds, 3), "chunks": chunks}
    if kinds[0] != "start" or set(kinds[1:-1]) - {"chunk"}:
        raise Wrong(f"the stream's events are not start, chunk, complete, but {', '.join(map(str, kinds[:5]))}")
    if chunks == 0:
        raise Wrong("the stream had no chunk")


CHECKS = {"health": check_health, "cache": check_cache, "batch": check_batch, "streaming": check_stream}


def run(options):
    say = (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    server = Server(options)
    report = {"url": options.url, "ok": True, "problems": []}
    say("SutazAI Advanced Features Demonstration")
    for number, (name, check) in enumerate(CHECKS.items()):
        if number > 0:
            say("")
        try:
            for figures in check(server, options, say):
                report[name] = figures
        except Wrong as wrong:
            report["ok"] = False
            report["problems"].append(f"{name}: {wrong}")
            print(f"{name}: {wrong}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(report, indent=2))
    return 0 if report["ok"] else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where the server listens")
    parser.add_argument("--model", help="which model answers (default: the server's)")
    parser.add_argument("--api-key", default=os.environ.get("SUTAZAI_API_KEY", ""),
                        help="of the server's API_KEYS (default: SUTAZAI_API_KEY of the environment)")  # fmt: skip
    parser.add_argument("--max-tokens", type=int, default=48, help="of each answer (default: 48)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds without a byte that are too many")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    try:
        return run(parser.parse_args())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
