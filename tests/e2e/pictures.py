"""Pictures, made without a library, and a folder of models of which one sees."""

import base64
import hashlib
import pathlib
import struct
import zlib

import harness


def png(seed: int = 1, width: int = 48, height: int = 40) -> bytes:
    """An RGB picture of noise; the same seed and size give the same bytes."""
    row = width * 3
    noise = b""
    while len(noise) < row * height:
        noise += hashlib.sha256(f"{seed} {len(noise)}".encode()).digest()
    lines = b"".join(b"\0" + noise[y * row : (y + 1) * row] for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url_of(data: bytes) -> str:
    return "data:image/png;base64," + base64_of(data)


def seen(*images: bytes, text: str = "What is this?") -> list[dict]:
    """OpenAI's messages: a question about images."""
    parts = [{"type": "image_url", "image_url": {"url": url_of(image)}} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def seeing_folder(folder: pathlib.Path, model: pathlib.Path, name: str = "toy") -> pathlib.Path:
    """A folder with a toy model and a projector for it, and the same model without one, called "blind"."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (f"{name}.gguf", "blind.gguf"):
        (folder / file).symlink_to(model)
    made = harness.run_binary(
        "model", "synth", "--preset", "projector", "--output", str(folder / f"mmproj-{name}-f32.gguf"), folder=folder
    )
    assert made.returncode == 0, made.stderr
    return folder
