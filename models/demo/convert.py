"""Writes a trained checkpoint as GGUF.

    convert.py CHECKPOINT.pt OUT.gguf [--type q8_0|f16|f32]

Matrices are stored in --type, norms in F32. Rows of q and k are reordered from rotate-halves to llama.cpp's
rotate-pairs layout for the llama architecture.
"""
import argparse
import pathlib

import gguf
import torch

import model as network
import tokenizer as bpe

HERE = pathlib.Path(__file__).parent
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NAMES = {"demo": "sutazai-demo", "draft": "sutazai-demo-draft"}
DESCRIPTIONS = {
    "demo": "A very small chat model that answers questions about SutazAI.",
    "draft": "A draft model for speculative decoding with sutazai-demo. The same tokenizer and training text.",
}
TRAINED_ON = (
    "Text written for the SutazAI project: its facts about settings, endpoints, commands and words, asked through"
    " phrasing templates, and a few very short stories. No scraped text, no text or weights of other models."
)
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def paired(weight, n_head):
    """Row order (half, pair) of each head to (pair, half)."""
    rows, columns = weight.shape
    return weight.reshape(n_head, 2, rows // n_head // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(state, shape):
    """(name, float32 array) under llama.cpp's names."""
    for name, value in state.items():
        array = value.float().cpu().numpy()
        if name.endswith("attn_q.weight"):
            array = paired(array, shape.n_head)
        elif name.endswith("attn_k.weight"):
            array = paired(array, shape.n_head_kv)
        yield name, array


def write_metadata(writer, size, shape, kind, parameters):
    writer.add_name(NAMES[size])
    writer.add_description(DESCRIPTIONS[size] + " Trained on: " + TRAINED_ON)
    writer.add_license("apache-2.0")
    writer.add_author("the SutazAI project")
    writer.add_languages(["en"])
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_vocab_size(shape.n_vocab)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def write_tokenizer(writer, tok):
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tok.tokens)
    writer.add_token_types([control if index >= tok.eot else normal for index in range(len(tok.tokens))])
    writer.add_token_merges([" ".join(pair) for pair in tok.merges])
    writer.add_eos_token_id(tok.im_end)
    writer.add_pad_token_id(tok.eot)
    writer.add_eot_token_id(tok.im_end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("output")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--tokenizer", default=HERE / "tokenizer.json")
    args = parser.parse_args()
    kept = torch.load(args.checkpoint, map_location="cpu")
    shape = network.SHAPES[kept["size"]]
    writer = gguf.GGUFWriter(args.output, "llama")
    parameters = sum(value.numel() for value in kept["model"].values())
    write_metadata(writer, kept["size"], shape, args.type, parameters)
    write_tokenizer(writer, bpe.Tokenizer.load(args.tokenizer))
    for name, array in tensors(kept["model"], shape):
        dtype = TYPES[args.type] if array.ndim == 2 else TYPES["f32"]
        writer.add_tensor(name, gguf.quants.quantize(array, dtype), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{args.output}: {parameters} parameters, {pathlib.Path(args.output).stat().st_size} bytes")


if __name__ == "__main__":
    main()
