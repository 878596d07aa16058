"""Scores answers to the held-out questions, against a served model or a checkpoint.

    eval.py --base-url http://127.0.0.1:8080 --model sutazai-demo --min-score 0.85 --min-each 0.85
    eval.py --torch run-demo/checkpoint.pt

The questions are read from phrasing lines that training never saw (generate.held_out). An answer counts as near-exact
when its normalised text equals the fact's answer, or when the F1 of their words is at least 0.9 and every key term
of the fact's answer (a word with a capital inside, a digit, or one of _ / = -- .) stands in it. Greedy decoding.
Exit status 1 below --min-score over all, or below --min-each for questions, follow-ups or unknown topics alone.
"""
import argparse
import collections
import concurrent.futures
import json
import random
import re
import sys
import urllib.request

import factbook
import generate

NEAR = 0.9


def words(text):
    return factbook.normalise(text).split()


def key_terms(text):
    found = re.findall(r"\S*(?:\d|[_/=]|--|\.\w|\w[A-Z])\S*", text)
    return {factbook.normalise(term) for term in found} - {""}


def near_exact(answer, expected):
    got, wanted = words(answer), words(expected)
    if got == wanted:
        return True
    common = sum((collections.Counter(got) & collections.Counter(wanted)).values())
    f1 = 2 * common / max(1, len(got) + len(wanted))
    return f1 >= NEAR and key_terms(expected) <= key_terms(answer)


def served(args):
    """A function from messages to the answer over the OpenAI route."""
    def ask(messages):
        body = {"model": args.model, "messages": messages, "temperature": 0, "max_tokens": 160}
        headers = {"Content-Type": "application/json"}
        if args.api_key:
            headers["Authorization"] = "Bearer " + args.api_key
        request = urllib.request.Request(
            args.base_url.rstrip("/") + "/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as reply:
            choice = json.load(reply)["choices"][0]
        return choice["message"]["content"], choice["finish_reason"] == "stop"

    def answer(items):
        with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
            return list(pool.map(ask, [item["messages"] for item in items]))
    return answer


def local(args):
    """The same with PyTorch."""
    import inference

    net, tok = inference.load(args.torch)

    def answer(items):
        found = inference.generate(net, [tok.encode_chat(item["messages"]) for item in items], tok, limit=160)
        return [(tok.decode(ids), ids[-1:] == [tok.im_end]) for ids in found]
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="sutazai-demo")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--torch", metavar="CHECKPOINT", help="score a checkpoint with PyTorch instead")
    parser.add_argument("--limit", type=int, default=0, help="ask only so many questions, drawn with a fixed seed")
    parser.add_argument("--min-score", type=float, default=0.85)
    parser.add_argument("--min-each", type=float, default=0.0, help="the same for each kind of question")
    parser.add_argument("--parallel", type=int, default=8, help="requests in flight to a served model")
    parser.add_argument("--failures", type=int, default=0, help="print so many wrong answers")
    args = parser.parse_args()
    facts = factbook.load()
    items = generate.held_out(facts)
    random.Random(generate.SEED).shuffle(items)
    items = items[: args.limit or None]
    ask = local(args) if args.torch else served(args)

    tally = collections.Counter()
    facts_seen, facts_right = set(), set()
    for start in range(0, len(items), 64):
        chunk = items[start : start + 64]
        for item, (answer, stopped) in zip(chunk, ask(chunk)):
            kind = "follow-up" if len(item["messages"]) > 1 else "unknown topic" if item["id"] == factbook.UNKNOWN else "question"
            good = near_exact(answer, item["answer"])
            tally.update({"asked": 1, "near": good, "exact": words(answer) == words(item["answer"]), "stopped": stopped,
                          kind: 1, kind + " near": good})
            facts_seen.add(item["id"])
            if good:
                facts_right.add(item["id"])
            elif args.failures > 0:
                args.failures -= 1
                print(f"  {item['id']}: {item['messages'][-1]['content']!r}\n    got    {answer!r}\n    wanted {item['answer']!r}")
    asked = tally["asked"]
    score = tally["near"] / asked
    print(f"{len(facts)} facts, {asked} held-out questions: near-exact {score:.3f}, exact {tally['exact'] / asked:.3f},"
          f" stopped by itself {tally['stopped'] / asked:.3f}, facts answered at least once {len(facts_right)}/{len(facts_seen)}")
    shares = {kind: tally[kind + " near"] / tally[kind] for kind in ("question", "follow-up", "unknown topic") if tally[kind]}
    for kind, share in shares.items():
        print(f"  {kind}: {share:.3f} of {tally[kind]}")
    low = [f"all {score:.3f} < {args.min_score}"] * (score < args.min_score)
    low += [f"{kind} {share:.3f} < {args.min_each}" for kind, share in shares.items() if share < args.min_each]
    if low:
        print("below the threshold: " + ", ".join(low))
    return int(bool(low))


if __name__ == "__main__":
    sys.exit(main())
