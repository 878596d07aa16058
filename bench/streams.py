"""A streamed chat, and when its text came."""

import http.client
import json
import time


def timed(port, body):
    """When the request was sent, when each event with text came (both in seconds of time.monotonic()), and how many tokens
    the server counts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.connect()
    began = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read().decode()}")
    times, tokens = [], 0
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if any(choice["delta"].get("content") for choice in event["choices"]):
            times.append(time.monotonic())
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
    connection.close()
    return began, times, tokens
