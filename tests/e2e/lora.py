"""Writes LoRA adapters in GGUF, as llama.cpp's convert_lora_to_gguf.py does, of random numbers."""

import array
import pathlib
import random
import struct

from gguf_aged import FLOAT32, STRING, Gguf, Tensor
from gguf_split import text_bytes


def text_value(text: str) -> bytes:
    return struct.pack("<I", STRING) + text_bytes(text.encode())


def write_lora(model: pathlib.Path, path: pathlib.Path, seed: int, rank: int = 4, spread: float = 0.4,
               part: str = ".weight", architecture: str | None = None, half: bool = False) -> pathlib.Path:  # fmt: skip
    """For all linear weights of the model's blocks whose names hold `part`; `half`: F16 in place of F32."""
    of = Gguf(model)
    numbers = random.Random(seed)
    out = Gguf.__new__(Gguf)
    own = of.pairs["general.architecture"]
    out.pairs = {
        "general.type": text_value("adapter"),
        "general.architecture": own if architecture is None else text_value(architecture),
        "adapter.type": text_value("lora"),
        "adapter.lora.alpha": struct.pack("<If", FLOAT32, 2.0 * rank),
    }
    out.tensors = []

    def add(name: str, columns: int, rows: int, scale: float) -> None:
        values = [numbers.gauss(0, scale) for _ in range(columns * rows)]
        data = struct.pack(f"<{len(values)}e", *values) if half else array.array("f", values).tobytes()
        head = struct.pack("<IQQI", 2, columns, rows, 1 if half else 0)
        out.tensors.append(Tensor(name, head, memoryview(data)))

    for tensor in of.tensors:
        (dimensions,) = struct.unpack_from("<I", tensor.shape_and_type)
        if not tensor.name.startswith("blk.") or dimensions != 2 or part not in tensor.name:
            continue
        columns, rows = struct.unpack_from("<QQ", tensor.shape_and_type, 4)
        add(f"{tensor.name}.lora_a", columns, rank, columns**-0.5)
        add(f"{tensor.name}.lora_b", rank, rows, spread)
    return out.write(path)
