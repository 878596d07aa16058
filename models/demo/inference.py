"""Greedy answers of a checkpoint in PyTorch, for eval.py and agreement.py."""
import pathlib

import torch

import model as network
import tokenizer as bpe


def load(checkpoint):
    kept = torch.load(checkpoint, map_location="cpu")
    net = network.Model(network.SHAPES[kept["size"]])
    net.load_state_dict(kept["model"])
    return net.eval(), bpe.Tokenizer.load(pathlib.Path(__file__).with_name("tokenizer.json"))


@torch.no_grad()
def generate(net, prompts, tok, limit):
    """New ids for each prompt, up to and with <|im_end|> or `limit`. Rows are padded on the right, which causal
    attention does not see; nothing is kept between steps, which is slow and simple."""
    rows = [list(prompt) for prompt in prompts]
    open_rows = list(range(len(rows)))
    for _ in range(limit):
        width = max(len(rows[i]) for i in open_rows)
        ids = torch.tensor([rows[i] + [tok.eot] * (width - len(rows[i])) for i in open_rows])
        hidden = net.hidden(ids)
        last = torch.tensor([len(rows[i]) - 1 for i in open_rows])
        best = net.logits(hidden[torch.arange(len(open_rows)), last]).argmax(-1).tolist()
        for i, token in zip(open_rows, best):
            rows[i].append(token)
        open_rows = [i for i, token in zip(open_rows, best) if token != tok.im_end and len(rows[i]) < net.shape.n_ctx]
        if not open_rows:
            break
    return [row[len(prompt):] for row, prompt in zip(rows, prompts)]


@torch.no_grad()
def choices(net, prompt, answer):
    """The likeliest id at each place of `answer`, given the prompt and the answer so far."""
    ids = torch.tensor([prompt + answer[:-1]])
    return net(ids)[0, len(prompt) - 1 :].argmax(-1).tolist()
