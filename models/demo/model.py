"""The network: llama's architecture (RMSNorm, RoPE, grouped-query attention, SwiGLU, tied embeddings)."""
import dataclasses

import torch
from torch import nn
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Shape:
    n_vocab: int = 3072
    n_ctx: int = 1024
    n_layer: int = 5
    n_embd: int = 192
    n_head: int = 3
    n_head_kv: int = 3
    n_ff: int = 512
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.n_embd // self.n_head


SHAPES = {
    "demo": Shape(),
    "draft": Shape(n_layer=3, n_embd=96, n_head=3, n_head_kv=3, n_ff=256),
}


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    """RoPE over the two halves of each head; x is [batch, head, token, head_dim]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def attend(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    tokens = q.shape[2]
    future = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    return scores.masked_fill(future, float("-inf")).softmax(-1).to(v.dtype) @ v


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        kv_size = shape.n_head_kv * shape.head_dim
        self.attn_norm = RmsNorm(shape.n_embd, shape.eps)
        self.attn_q = nn.Linear(shape.n_embd, shape.n_embd, bias=False)
        self.attn_k = nn.Linear(shape.n_embd, kv_size, bias=False)
        self.attn_v = nn.Linear(shape.n_embd, kv_size, bias=False)
        self.attn_output = nn.Linear(shape.n_embd, shape.n_embd, bias=False)
        self.ffn_norm = RmsNorm(shape.n_embd, shape.eps)
        self.ffn_gate = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_up = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_down = nn.Linear(shape.n_ff, shape.n_embd, bias=False)

    def forward(self, x, cos, sin):
        shape = self.shape
        batch, tokens, _ = x.shape

        def heads(y, count):
            return y.view(batch, tokens, count, shape.head_dim).transpose(1, 2)

        h = self.attn_norm(x)
        q = rotate(heads(self.attn_q(h), shape.n_head), cos, sin)
        k = rotate(heads(self.attn_k(h), shape.n_head_kv), cos, sin)
        v = heads(self.attn_v(h), shape.n_head_kv)
        repeat = shape.n_head // shape.n_head_kv
        y = attend(q, k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1))
        x = x + self.attn_output(y.transpose(1, 2).reshape(batch, tokens, shape.n_embd))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = RmsNorm(shape.n_embd, shape.eps)
        angle = torch.arange(shape.n_ctx).float()[:, None] * shape.rope_base ** (
            -torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
        )
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(parameter, std=0.02 / ((2 * shape.n_layer) ** 0.5 if deep else 1))

    def hidden(self, ids):
        """The last layer's normalised state [batch, token, n_embd] of ids [batch, token]."""
        tokens = ids.shape[1]
        cos, sin = self.cos[:tokens], self.sin[:tokens]
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.token_embd.weight)

    def forward(self, ids):
        """Logits [batch, token, n_vocab] of ids [batch, token]."""
        return self.logits(self.hidden(ids))

    def parameter_count(self):
        return sum(parameter.numel() for parameter in self.parameters())
