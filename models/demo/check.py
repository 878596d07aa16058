"""Checks the shipped models without loading them: files, sizes, metadata. Plain Python, no packages.

    check.py [MODELS_FOLDER]
"""
import pathlib
import struct
import sys

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
MAX_BYTES = 12_000_000


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        length = self.scalar("Q")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item, count = self.scalar("I"), self.scalar("Q")
            return [self.value(item) for _ in range(count)]
        return self.scalar(SCALARS[kind])


def read(path):
    """(metadata, {tensor: (shape, type, offset)}, data_start, size) of a GGUF file."""
    data = path.read_bytes()
    reader = Reader(data)
    if data[:4] != b"GGUF":
        raise ValueError(f"{path} is not a GGUF file")
    reader.at = 4
    version, n_tensors, n_values = reader.scalar("I"), reader.scalar("Q"), reader.scalar("Q")
    if version != 3:
        raise ValueError(f"{path} has GGUF version {version}, not 3")
    metadata = {}
    for _ in range(n_values):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("I"))
    tensors = {}
    for _ in range(n_tensors):
        name = reader.string()
        shape = [reader.scalar("Q") for _ in range(reader.scalar("I"))]
        tensors[name] = (shape, reader.scalar("I"), reader.scalar("Q"))
    start = -(-reader.at // 32) * 32
    return metadata, tensors, start, len(data)


def parameters(tensors):
    total = 0
    for shape, _, _ in tensors.values():
        count = 1
        for extent in shape:
            count *= extent
        total += count
    return total


def check(path, name):
    """(problems, metadata, parameter count) of one shipped model."""
    metadata, tensors, start, size = read(path)
    architecture = metadata.get("general.architecture")
    problems = []

    def expect(condition, text):
        if not condition:
            problems.append(f"{path.name}: {text}")

    expect(size <= MAX_BYTES, f"{size} bytes are more than {MAX_BYTES}")
    expect(size > start + parameters(tensors), "the file is shorter than its tensors")
    expect(metadata.get("general.name") == name, f"general.name is not {name}")
    expect(metadata.get("general.license") == "apache-2.0", "the licence is not apache-2.0")
    expect("Trained on:" in metadata.get("general.description", ""), "the description does not say what it was trained on")
    expect(architecture in ("llama", "qwen2"), f"architecture {architecture}")
    expect(metadata.get(f"{architecture}.context_length", 0) >= 1024, "a context of less than 1,024 tokens")
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    expect(2000 <= len(tokens) <= 8000, f"a vocabulary of {len(tokens)} tokens")
    eos = metadata.get("tokenizer.ggml.eos_token_id", 0)
    expect(eos < len(tokens) and tokens[eos] == "<|im_end|>", "the end token is not <|im_end|>")
    expect("<|im_start|>" in metadata.get("tokenizer.chat_template", ""), "no <|im_start|> chat template")
    for tensor, (shape, kind, _) in tensors.items():
        expect(kind in (0, 1, 8), f"{tensor} is below Q8_0")
    return problems, metadata, parameters(tensors)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    demo, draft = folder / "demo/sutazai-demo.gguf", folder / "demo-draft/sutazai-demo-draft.gguf"
    problems = [f"{path} does not exist" for path in (demo, draft) if not path.is_file()]
    if not problems:
        found, metadata, size = check(demo, "sutazai-demo")
        draft_found, draft_metadata, draft_size = check(draft, "sutazai-demo-draft")
        problems = found + draft_found
        if draft_size * 4 > size:
            problems.append(f"the draft's {draft_size} parameters are more than a quarter of {size}")
        for key in ("tokens", "merges", "token_type", "pre", "eos_token_id"):
            if metadata.get("tokenizer.ggml." + key) != draft_metadata.get("tokenizer.ggml." + key):
                problems.append(f"tokenizer.ggml.{key} differs between the two models")
        if not problems:
            print(f"sutazai-demo: {size} parameters, {demo.stat().st_size} bytes;"
                  f" sutazai-demo-draft: {draft_size} parameters, {draft.stat().st_size} bytes")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
