"""How often the draft's greedy token is the demo model's, over the demo model's answers to held-out questions.

    agreement.py DEMO.pt DRAFT.pt [--limit N] [--min-score 0.70]
"""
import argparse
import random
import sys

import factbook
import generate
import inference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo")
    parser.add_argument("draft")
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--min-score", type=float, default=0.70)
    args = parser.parse_args()
    demo, tok = inference.load(args.demo)
    draft, _ = inference.load(args.draft)
    items = generate.held_out(factbook.load())
    random.Random(generate.SEED).shuffle(items)
    prompts = [tok.encode_chat(item["messages"]) for item in items[: args.limit]]
    same = total = whole = 0
    for start in range(0, len(prompts), 64):
        chunk = prompts[start : start + 64]
        for prompt, answer in zip(chunk, inference.generate(demo, chunk, tok, limit=160)):
            picked = inference.choices(draft, prompt, answer)
            agreed = sum(a == b for a, b in zip(picked, answer))
            same += agreed
            total += len(answer)
            whole += agreed == len(answer)
    print(f"{same} of {total} tokens agree: {same / total:.3f}; whole answers {whole / len(prompts):.3f} of {len(prompts)};"
          f" parameters {draft.parameter_count()} / {demo.parameter_count()} = {draft.parameter_count() / demo.parameter_count():.3f}")
    return 0 if same / total >= args.min_score else 1


if __name__ == "__main__":
    sys.exit(main())
