"""The workloads and what each must reach. A bar compares ours with llama-server in the same run."""

import dataclasses
import math
from typing import Callable

from servers import MODEL_NAME

SHAPE_0_5B = "qwen2.5-0.5b"
# The toy has the real vocabulary of 151,936 tokens, so that sampling and detokenising cost what they cost in practice.
TOY = "toy-qwen2"


@dataclasses.dataclass
class Measure:
    """One figure of a report, and the bar for ours / theirs: at least `bar` when higher is better, else at most."""

    name: str
    of: Callable[[dict], float]
    higher_is_better: bool
    bar: float | None = None

    def passes(self, ratio):
        if self.bar is None:
            return None
        return ratio >= self.bar if self.higher_is_better else ratio <= self.bar


@dataclasses.dataclass
class Workload:
    name: str
    about: str
    model: str
    parallel: int  # llama-server's -np, our BATCH_SIZE
    context: int
    concurrency: int
    lines: Callable  # (TextSource) -> list of workload lines
    measures: list


def chat(user, max_tokens, system=None, greedy=True, seed=0, **line):
    """One streamed request that always takes `max_tokens`, whatever the model says."""
    messages = [{"role": "system", "content": system}] if system else []
    body = {
        "model": MODEL_NAME,
        "messages": messages + [{"role": "user", "content": user}],
        "max_tokens": max_tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body.update({"temperature": 0} if greedy else {"temperature": 0.8, "seed": seed})
    return {"body": body, **line}


def decode_rate(report):
    """Tokens per second of the decode alone: what came after each request's first token."""
    tokens = sum(each["completion_tokens"] - 1 for each in report["each"])
    seconds = max(each["text_ms"][-1] for each in report["each"]) - min(each["text_ms"][0] for each in report["each"])
    return tokens / (seconds / 1000)


def percentile(samples, share):
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def gaps_while_reading(report):
    """The streams' token gaps that touch the time in which the long prompt is read."""
    long_one = next(each for each in report["each"] if each.get("label") == "long")
    begin, end = long_one["sent_ms"], long_one["text_ms"][0]
    gaps = [after - before for each in report["each"] if each.get("label") == "stream"
            for before, after in zip(each["text_ms"], each["text_ms"][1:]) if after > begin and before < end]
    if not gaps:
        raise RuntimeError("no stream was running while the long prompt was read")
    return gaps


def long_ttft(report):
    long_one = next(each for each in report["each"] if each.get("label") == "long")
    return long_one["text_ms"][0] - long_one["sent_ms"]


def cpu_per_request(report):
    return report["server_cpu_s"] / report["requests"]


TOKENS_PER_S = "tokens/s"


def tokens_per_s(bar=None):
    return Measure(TOKENS_PER_S, lambda r: r["tokens_per_s"], True, bar)


def ttft(share, bar=None):
    return Measure(f"TTFT {share} ms", lambda r: r["ttft_ms"][share], False, bar)


def shared_prefix(source):
    system = source.take(700, 0)
    return [chat(source.take(12, 1 + i), 16, system=system) for i in range(32)]


WORKLOADS = [
    Workload(
        "one-stream", "one stream of 128 tokens after a short prompt", SHAPE_0_5B, 1, 4096, 1,
        lambda source: [chat(source.take(24, 1), 128)],
        [Measure("decode tokens/s", decode_rate, True, 0.98), ttft("p50")]),
    Workload(
        "toy-400", "400 short chats at concurrency 100 on the toy model, default sampling", TOY, 32, 16384, 100,
        lambda source: [chat(source.take(12, i), 32, greedy=False, seed=i) for i in range(400)],
        [tokens_per_s(5.0), ttft("p50"), ttft("p95")]),
    Workload(
        "shared-prefix-32", "32 chats at once with one system prompt of 700 words, 16 tokens each, cold",
        SHAPE_0_5B, 32, 49152, 32, shared_prefix,
        [Measure("wall s", lambda r: r["wall_s"], False, 1 / 8), ttft("p50", 1 / 10),
         Measure("CPU s/request", cpu_per_request, False)]),
    Workload(
        "short-100", "100 short unshared chats at once, 32 tokens each", SHAPE_0_5B, 32, 8192, 100,
        lambda source: [chat(source.take(24, 100 + i), 32) for i in range(100)],
        [tokens_per_s(1.15), ttft("p50"), ttft("p95", 0.7)]),
    Workload(
        "decode-64", "64 unshared streams that decode 64 tokens each", SHAPE_0_5B, 64, 16384, 64,
        lambda source: [chat(source.take(8, 300 + i), 64) for i in range(64)],
        [tokens_per_s(1.0), Measure("ITL p99 ms", lambda r: r["itl_ms"]["p99"], False)]),
    Workload(
        "long-vs-streams", "a prompt of 3,500 words arrives while 4 streams run", SHAPE_0_5B, 8, 65536, 4,
        lambda source: [chat(source.take(12, 400 + i), 600, label="stream") for i in range(4)]
        + [chat(source.take(3500, 410), 8, label="long", at_ms=4000)],
        [Measure("streams' gap p99 ms", lambda r: percentile(gaps_while_reading(r), 0.99), False, 1 / 20),
         Measure("long prompt's TTFT ms", long_ttft, False, 1.5)]),
]


def named(names):
    """The workloads of these names, in the table's order; all of them for no names."""
    unknown = set(names) - {workload.name for workload in WORKLOADS}
    if unknown:
        raise SystemExit(f"There is no workload {', '.join(sorted(unknown))}; there are "
                         f"{', '.join(workload.name for workload in WORKLOADS)}.")
    return [workload for workload in WORKLOADS if not names or workload.name in names]
