#!/usr/bin/env python3
"""The page's files as C++ source, compressed: embed_page.py FOLDER FILE. The same files give the same source."""

import gzip
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}


def literal(data):
    """In octal, which ends after three digits whatever comes next; in lines that a compiler likes."""
    pieces = (data[at : at + 64] for at in range(0, len(data), 64))
    return "\n".join('        "' + "".join(f"\\{byte:03o}" for byte in piece) + '"' for piece in pieces)


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    rows = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        etag = hashlib.sha256(data).hexdigest()[:16]
        rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"",\n     std::string_view(\n{literal(packed)},\n'
                    f"        {len(packed)}),\n     {len(data)}}},\n")
    out.write_text('#include "http/page_files.h"\n\n#include <array>\n\nnamespace sutazai::http {\n\nnamespace {\n\n'
                   f"constexpr std::array<PageFile, {len(rows)}> kFiles{{{{\n{''.join(rows)}}}}};\n\n}}  // namespace\n\n"
                   "std::span<const PageFile> page_files() {\n    return kFiles;\n}\n\n}  // namespace sutazai::http\n")


if __name__ == "__main__":
    main()
