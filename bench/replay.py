#!/usr/bin/env python3
"""Replays a recorded load on sutazai, on llama-server, or on both.

mooncake  A JSONL trace with timestamp (ms), input_length, output_length and hash_ids: the ids of the prompt's blocks of 512
          tokens, equal where the prompts begin alike. Every block becomes the same words wherever it appears, so prompts
          share what they shared when recorded.
azure     A CSV trace with TIMESTAMP, ContextTokens and GeneratedTokens: arrivals and lengths, nothing shared.

--scale divides all lengths, --speed multiplies the rate of arrival. Reported: prompt tokens that were taken from a cache,
against what an infinite cache would have given the same requests in the same order; TTFT; token gaps (ITL); goodput, the
requests a second that met both --slo values. Ends with 1 when our hits are below --bar of an infinite cache's, which they
can only reach while what the trace repeats fits in memory.
"""

import argparse
import csv
import datetime
import json
import os
import signal
import sys
import tempfile

import run
import servers
import workloads
from words import text

BLOCK_TOKENS = 512
# Tokens of "<|im_start|>user\n", what all prompts begin with. The toy's vocabulary has no word without a space before it, so
# it spells "user". All other words are one token each (see words.py).
TEMPLATE_TOKENS = {"toy": 6}
TEMPLATE_TOKENS_OF_OTHERS = 3


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["mooncake", "azure"])
    parser.add_argument("trace", metavar="FILE")
    parser.add_argument("--requests", type=int, default=100, help="so many from the trace's start (default 100)")
    parser.add_argument("--scale", type=float, default=16, help="divide lengths by this (default 16)")
    parser.add_argument("--speed", type=float, default=1, help="arrivals this many times as fast (default 1)")
    parser.add_argument("--closed-loop", type=int, metavar="N", help="ignore the arrivals; keep N requests under way")
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B, help="synthetic model (default %(default)s)")
    parser.add_argument("--parallel", type=int, default=16, help="BATCH_SIZE and -np (default 16)")
    parser.add_argument("--context", type=int, default=65536, help="KV cells in all (default 65536)")
    parser.add_argument("--slo-ttft-ms", type=float, default=2000)
    parser.add_argument("--slo-itl-ms", type=float, default=200, help="bound for a request's mean token gap")
    parser.add_argument("--bar", type=float, help="least share of an infinite cache's hits, for our side")
    parser.add_argument("--side", choices=["both", "sutazai", "llama-server"], default="both")
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def mooncake_requests(path, count, scale):
    """(at_ms, words of the prompt as a list of (text, tokens) blocks, tokens to generate)."""
    requests = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if len(requests) == count:
                break
            record = json.loads(line)
            left = max(1, round(record["input_length"] / scale))
            blocks = []
            for block in record["hash_ids"]:
                size = min(left, max(1, round(BLOCK_TOKENS / scale)))
                if size > 0:
                    # The last block may be cut short: it is then a prefix of the whole one.
                    blocks.append((block, size))
                left -= size
            requests.append((record["timestamp"], blocks, max(1, round(record["output_length"] / scale))))
    return requests


def azure_requests(path, count, scale):
    requests = []
    begin = None
    with open(path, encoding="utf-8", newline="") as file:
        for number, record in enumerate(csv.DictReader(file)):
            if number == count:
                break
            # Seven digits after the point are one too many for fromisoformat.
            time = datetime.datetime.fromisoformat(record["TIMESTAMP"][:26])
            begin = begin or time
            words = max(1, round(int(record["ContextTokens"]) / scale))
            requests.append(((time - begin).total_seconds() * 1000, [(f"azure {number}", words)],
                             max(1, round(int(record["GeneratedTokens"]) / scale))))
    return requests


def prompt_text(blocks):
    return "".join(text(words, block) for block, words in blocks)


def infinite_cache_hits(prompts, template_tokens):
    """Prompt tokens that were already computed for an earlier request, word by word."""
    trie = {}
    hits = 0
    for number, prompt in enumerate(prompts):
        node, shared = trie, 0
        for word in prompt.split():
            shared += word in node
            node = node.setdefault(word, {})
        if number > 0:
            hits += template_tokens + shared
    return hits


def workload_lines(requests, options):
    lines = []
    for at_ms, blocks, output in requests:
        line = workloads.chat(prompt_text(blocks), output)
        if not options.closed_loop:
            line["at_ms"] = round(at_ms / options.speed)
        lines.append(line)
    return lines


def goodput(report, slo_ttft_ms, slo_itl_ms):
    met = 0
    for each in report["each"]:
        times = each["text_ms"]
        if not times:
            continue
        mean_gap = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0
        met += times[0] - each["sent_ms"] <= slo_ttft_ms and mean_gap <= slo_itl_ms
    return met / report["wall_s"]


def replay(bench, side, lines, options, infinite):
    setup = servers.Setup(bench.model(options.preset), options.parallel, options.context)
    with bench.server(side, setup) as server:
        report = bench.measure(server, lines, options.closed_loop or 1)
        described = server.describe()
    summary = {
        "prompt_tokens": report["prompt_tokens"],
        "hit_tokens": report["cached_tokens"],
        "hits_vs_infinite_cache": report["cached_tokens"] / infinite if infinite else None,
        "ttft_ms": report["ttft_ms"],
        "itl_ms": report["itl_ms"],
        "tokens_per_s": report["tokens_per_s"],
        "goodput_requests_per_s": goodput(report, options.slo_ttft_ms, options.slo_itl_ms),
        "server_cpu_s": report["server_cpu_s"],
        "wall_s": report["wall_s"],
    }
    return {"server": described, **summary}


def print_summary(sides, infinite):
    print(f"an infinite cache would give {infinite} tokens")
    print(f"{'':24}" + "".join(f"{side:>14}" for side in sides))
    rows = [
        ("prompt tokens", lambda s: s["prompt_tokens"]),
        ("hit tokens", lambda s: s["hit_tokens"]),
        ("hits / infinite cache", lambda s: s["hits_vs_infinite_cache"] or 0),
        ("TTFT p50 ms", lambda s: s["ttft_ms"]["p50"]),
        ("TTFT p99 ms", lambda s: s["ttft_ms"]["p99"]),
        ("ITL p50 ms", lambda s: s["itl_ms"].get("p50", 0)),
        ("ITL p99 ms", lambda s: s["itl_ms"].get("p99", 0)),
        ("tokens/s", lambda s: s["tokens_per_s"]),
        ("goodput requests/s", lambda s: s["goodput_requests_per_s"]),
        ("CPU s", lambda s: s["server_cpu_s"]),
    ]
    for name, of in rows:
        print(f"{name:24}" + "".join(f"{of(summary):14.4g}" for summary in sides.values()))


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    read = mooncake_requests if options.kind == "mooncake" else azure_requests
    requests = read(options.trace, options.requests, options.scale)
    lines = workload_lines(requests, options)
    infinite = infinite_cache_hits((prompt_text(blocks) for _, blocks, _ in requests),
                                   TEMPLATE_TOKENS.get(options.preset, TEMPLATE_TOKENS_OF_OTHERS))
    names = ["sutazai", "llama-server"] if options.side == "both" else [options.side]
    with tempfile.TemporaryDirectory(prefix="sutazai-replay-") as scratch:
        bench = run.Bench(options, scratch)
        sides = {side: replay(bench, side, lines, options, infinite) for side in names}
    print_summary(sides, infinite)
    run.write_results(options.output, {"machine": run.machine(), "options": vars(options),
                                       "infinite_cache_hit_tokens": infinite, "sides": sides})
    if options.bar is None or "sutazai" not in sides:
        return 0
    passes = (sides["sutazai"]["hits_vs_infinite_cache"] or 0) >= options.bar
    print(f"hits / infinite cache >= {options.bar}: {'pass' if passes else 'FAIL'}")
    return 0 if passes else 1


if __name__ == "__main__":
    sys.exit(main())
