"""Writes an Ollama store: manifests and blobs, as `ollama pull` and `ollama create` leave them."""

import hashlib
import json
import pathlib
import shutil


class Store:
    def __init__(self, root: pathlib.Path):
        self.root = root
        (root / "blobs").mkdir(parents=True, exist_ok=True)

    def put_blob(self, content: bytes | pathlib.Path) -> dict:
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        path = self.root / "blobs" / f"sha256-{digest}"
        if not path.exists():
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copy(content, path)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def put(self, path: str, weights: pathlib.Path, config: dict | None = None, **layers) -> pathlib.Path:
        """`path` is model/tag of the default host and namespace, or host/namespace/model/tag."""
        if path.count("/") == 1:
            path = f"registry.ollama.ai/library/{path}"
        kinds = {"model": weights} | {
            kind: (value if isinstance(value, str) else json.dumps(value)).encode() for kind, value in layers.items()
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json"}
            | self.put_blob(json.dumps({"model_format": "gguf"} | (config or {})).encode()),
            "layers": [
                {"mediaType": f"application/vnd.ollama.image.{kind}"} | self.put_blob(content)
                for kind, content in kinds.items()
            ],
        }
        return self.put_text(path, json.dumps(manifest))

    def put_text(self, path: str, manifest: str) -> pathlib.Path:
        file = self.root / "manifests" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        new = self.root / "new-manifest"
        new.write_text(manifest)
        new.rename(file)  # as Ollama does: whole or not at all
        return file
