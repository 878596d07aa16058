#!/usr/bin/env bash
# peer.sh: builds llama-server, llama-bench and llama-quantize from the source and with the options that our own llama.cpp libraries were
# built from (build/release/llama-peer), without our patches and with -march=native, in the cache folder beside them. Prints
# the folder of the binaries. Quick when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -f build/release/llama-peer ] || cmake --preset release >&2
mapfile -t configured < build/release/llama-peer
source=${configured[0]}
peer=${configured[1]}

tools=(llama-server llama-bench llama-quantize)
missing=0
for tool in "${tools[@]}"; do [ -x "$peer/bin/$tool" ] || missing=1; done
if [ "$missing" = 1 ]; then
    echo "Building ${tools[*]} in $peer (some minutes, once)" >&2
    cmake -S "$source" -B "$peer" -G Ninja "${configured[@]:2}" \
        -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF >&2
    cmake --build "$peer" --target "${tools[@]}" >&2
fi
echo "$peer/bin"
