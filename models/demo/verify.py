"""Compares a GGUF served by llama.cpp's llama-server with the checkpoint it was made from.

    llama-server -m sutazai-demo.gguf --port 8090 &
    verify.py run-demo/checkpoint.pt --base-url http://127.0.0.1:8090 --max-difference 0.02

Tokens: every held-out chat must tokenise there as tokenizer.py does. Probabilities: after the question, and inside the
answer, the log-probabilities of the whole vocabulary are compared; reported are the largest difference among tokens
with a probability of at least 0.001 in PyTorch, among all tokens, and how often the likeliest token is the same.
"""
import argparse
import json
import random
import sys
import urllib.request

import torch

import factbook
import generate
import inference

LIKELY = -6.9078  # log 0.001


def post(base, path, body):
    request = urllib.request.Request(base.rstrip("/") + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)


def rendered(messages):
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + "<|im_start|>assistant\n"


def served_logprobs(base, ids, size):
    """[size] log-probabilities of the token after `ids`; a token left out stays NaN."""
    reply = post(base, "/completion", {"prompt": ids, "n_predict": 1, "n_probs": size, "temperature": -1,
                                       "cache_prompt": False})
    found = torch.full((size,), float("nan"))
    for entry in reply["completion_probabilities"][0]["top_logprobs"]:
        found[entry["id"]] = entry["logprob"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--base-url", default="http://127.0.0.1:8090")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--max-difference", type=float, default=0.02)
    args = parser.parse_args()
    net, tok = inference.load(args.checkpoint)
    items = generate.held_out(factbook.load())
    random.Random(generate.SEED).shuffle(items)

    wrong = 0
    for item in items:
        ids = post(args.base_url, "/tokenize", {"content": rendered(item["messages"]), "parse_special": True})["tokens"]
        answer = post(args.base_url, "/tokenize", {"content": item["answer"]})["tokens"]
        wrong += ids != tok.encode_chat(item["messages"]) or answer != tok.encode(item["answer"])
    print(f"tokenizer: {len(items) - wrong} of {len(items)} held-out chats alike")

    likely = anywhere = 0.0
    same = count = 0
    for item in items[: args.prompts]:
        prompt = tok.encode_chat(item["messages"])
        answer = tok.encode(item["answer"])
        for ids in (prompt, prompt + answer[: len(answer) // 2]):
            with torch.no_grad():
                ours = net(torch.tensor([ids]))[0, -1].log_softmax(-1)
            theirs = served_logprobs(args.base_url, ids, len(ours))
            difference = (ours - theirs).abs()
            likely = max(likely, difference[ours > LIKELY].max().item())
            anywhere = max(anywhere, difference[~difference.isnan()].max().item())
            same += int(ours.argmax() == torch.nan_to_num(theirs, -1e9).argmax())
            count += 1
    print(f"log-probabilities over {count} places: largest difference {likely:.6f} where p >= 0.001,"
          f" {anywhere:.6f} anywhere; likeliest token alike at {same}")
    # `not <=` so that a NaN fails.
    return int(wrong > 0 or not likely <= args.max_difference)


if __name__ == "__main__":
    sys.exit(main())
