"""Trains one of the two models on generate.py's chats. Seeds are fixed; an interrupted run goes on from its checkpoint.

    train.py demo  --data chats.jsonl --out run-demo
    train.py draft --data chats.jsonl --out run-draft

Runs on Debian's python3-torch (1.13) as on newer ones; --compile needs torch 2. Uses an accelerator when there is one.
Several processes (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, as torchrun does) share each step: every one
reads a batch of its own and the gradients are averaged.
"""
import argparse
import array
import json
import os
import pathlib
import random
import time

import torch
import torch.distributed as dist
from torch.nn import functional as F

import factbook
import generate
import model as network
import tokenizer as bpe

HERE = pathlib.Path(__file__).parent
SIZES = 192, 512, 1024   # tokens in a training sequence; a chat goes into the shortest that holds it
TEXT_WINDOW = 192        # tokens of each passage of --extra-text


def encode(tok, messages):
    """A chat's ids, and which of them the model is to write: the answers with their end."""
    ids, wanted = [], []
    for message in messages:
        head = [tok.im_start, *tok.encode(message["role"] + "\n")]
        body = [*tok.encode(message["content"]), tok.im_end]
        tail = tok.encode("\n")
        ids += head + body + tail
        wanted += [0] * len(head) + [int(message["role"] == "assistant")] * len(body) + [0] * len(tail)
    return ids + [tok.eot], wanted + [0]


def pack(chats, size, tok, keep_open=64):
    """Whole chats side by side in rows of `size` ids, each into the fullest open row that still has room."""
    rows, open_rows = [], []
    for ids, wanted in chats:
        fitting = [row for row in open_rows if len(row[0]) + len(ids) <= size + 1]
        if not fitting:
            if len(open_rows) >= keep_open:
                rows.append(open_rows.pop(max(range(keep_open), key=lambda i: len(open_rows[i][0]))))
            open_rows.append((array.array("H"), array.array("B")))
            fitting = open_rows[-1:]
        row = max(fitting, key=lambda row: len(row[0]))
        row[0].extend(ids)
        row[1].extend(wanted)
    rows += open_rows
    ids = torch.full((len(rows), size + 1), tok.eot, dtype=torch.int16)
    wanted = torch.zeros((len(rows), size + 1), dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row[0])] = torch.tensor(row[0].tolist(), dtype=torch.int16)
        wanted[i, : len(row[1])] = torch.tensor(row[1].tolist(), dtype=torch.bool)
    return ids, wanted


def prepare(tok, data, extra_text):
    """{size: (ids, wanted)}; kept beside the data, since both models read the same."""
    kept = pathlib.Path(str(data) + ".packed.pt")
    if kept.exists():
        return torch.load(kept)
    chats = {size: [] for size in SIZES}
    with open(data, encoding="utf-8") as file:
        for line in file:
            ids, wanted = encode(tok, json.loads(line)["messages"])
            if len(ids) <= SIZES[-1]:
                size = min(size for size in SIZES if len(ids) <= size)
                chats[size].append((array.array("H", ids), array.array("B", wanted)))
    # Some short chats side by side fill the longest rows too, so that all positions are trained at all distances.
    chats[SIZES[-1]] += chats[SIZES[0]][::25]
    random.Random(generate.SEED).shuffle(chats[SIZES[-1]])
    if extra_text:
        ids = tok.encode(pathlib.Path(extra_text).read_text(encoding="utf-8"))
        chats[SIZES[0]] += [(ids[i : i + TEXT_WINDOW], [1] * TEXT_WINDOW)
                            for i in range(0, len(ids) - TEXT_WINDOW, TEXT_WINDOW)]
        random.Random(generate.SEED).shuffle(chats[SIZES[0]])
    packed = {size: pack(chats[size], size, tok) for size in chats}
    torch.save(packed, kept)
    return packed


def batches(packed, tokens, seed):
    """The order of [(size, rows)] of one pass over the data."""
    rng = random.Random(seed)
    found = []
    for size, (ids, _) in packed.items():
        rows = list(range(len(ids)))
        rng.shuffle(rows)
        count = tokens // size
        found += [(size, rows[i : i + count]) for i in range(0, len(rows) - count + 1, count)]
    rng.shuffle(found)
    return found


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by Newton-Schulz steps (Keller Jordan, 2024); for matrices only."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(state["momentum"], group["momentum"]).bfloat16()
                if tall := x.shape[0] > x.shape[1]:
                    x = x.t()
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.t()
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
                x = x.t() if tall else x
                p.add_(x.float(), alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def average_gradients(net, world):
    flat = torch.cat([p.grad.flatten() for p in net.parameters()])
    dist.all_reduce(flat)
    at = 0
    for p in net.parameters():
        p.grad.copy_(flat[at : at + p.numel()].view_as(p)).div_(world)
        at += p.numel()


def optimizers(net, rate):
    matrices = [p for name, p in net.named_parameters() if p.dim() == 2 and name.startswith("blk.")]
    others = [p for name, p in net.named_parameters() if not (p.dim() == 2 and name.startswith("blk."))]
    found = [Muon(matrices, lr=0.02 * rate),
             torch.optim.AdamW(others, lr=3e-3 * rate, betas=(0.9, 0.95), weight_decay=0.0)]
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return found


def schedule(step, steps, warm=100, tail=0.4):
    """Level after a short rise, straight down to nothing over the last `tail` of the steps."""
    return min(1.0, (step + 1) / warm, (steps - step) / (tail * steps))


@torch.no_grad()
def exact_share(net, tok, items, device):
    """Share of held-out questions whose every answer token is the likeliest: what greedy decoding gets exactly."""
    right = 0
    for start in range(0, len(items), 32):
        rows = []
        for item in items[start : start + 32]:
            prompt = tok.encode_chat(item["messages"])
            rows.append((prompt, tok.encode(item["answer"]) + [tok.im_end]))
        width = max(len(p) + len(a) for p, a in rows)
        ids = torch.tensor([(p + a + [tok.eot] * width)[:width] for p, a in rows], device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            best = net(ids).argmax(-1).cpu()
        right += sum(best[i, len(p) - 1 : len(p) + len(a) - 1].tolist() == a for i, (p, a) in enumerate(rows))
    return right / len(items)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=network.SHAPES)
    parser.add_argument("--data", required=True, help="chats written by generate.py")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--tokenizer", default=HERE / "tokenizer.json")
    parser.add_argument("--extra-text", help="public-domain text to mix in, for example Shakespeare's plays")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--until", type=int, help="stop at this step; a later call, perhaps with fewer --steps, goes on")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=50, help="steps between two lines of the log")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(generate.SEED)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        dist.init_process_group("gloo")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tok = bpe.Tokenizer.load(args.tokenizer)
    packed = prepare(tok, args.data, args.extra_text)
    items = random.Random(1).sample(generate.held_out(factbook.load()), 256)
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / "checkpoint.pt"

    net = network.Model(network.SHAPES[args.size]).to(device)
    hidden = torch.compile(net.hidden, dynamic=False) if args.compile else net.hidden
    opts = optimizers(net, args.rate)
    step, seconds = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        net.load_state_dict(state["model"])
        for optimizer, kept in zip(opts, state["optimizers"]):
            optimizer.load_state_dict(kept)
        step, seconds = state["step"], state["seconds"]

    def save():
        if rank:
            return
        state = {"model": net.state_dict(), "optimizers": [o.state_dict() for o in opts], "step": step,
                 "seconds": seconds, "size": args.size}
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def log(text):
        if rank:
            return
        with open(args.out / "log.txt", "a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text, flush=True)

    log(f"{args.size}: {net.parameter_count()} parameters, {args.steps} steps, from {step}, torch {torch.__version__}")
    losses, order, epoch = [], [], -1
    end = min(args.steps, args.until or args.steps)
    while step < end:
        began = time.time()
        per_pass = len(order) or len(batches(packed, args.batch_tokens, 0))
        place = step * world + rank
        if place // per_pass != epoch:
            epoch = place // per_pass
            order = batches(packed, args.batch_tokens, epoch)
        size, rows = order[place % per_pass]
        ids = packed[size][0][rows].long().to(device)
        wanted = packed[size][1][rows][:, 1:].to(device)
        for optimizer in opts:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * schedule(step, args.steps)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = net.logits(hidden(ids[:, :-1])[wanted])
        loss = F.cross_entropy(logits.float(), ids[:, 1:][wanted])
        loss.backward()
        if world > 1:
            average_gradients(net, world)
        for optimizer in opts:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        step += 1
        seconds += time.time() - began
        if step % args.log_every == 0:
            log(f"step {step} loss {sum(losses) / len(losses):.4f} {seconds / step:.3f} s/step {seconds:.0f} s")
            losses = []
        if step % 25 == 0 or step == end:
            save()
        if (step % 500 == 0 or step == end) and not rank:
            log(f"step {step} held-out exact {exact_share(net, tok, items, device):.3f}")


if __name__ == "__main__":
    main()
