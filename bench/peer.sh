#!/usr/bin/env bash
# peer.sh: builds llama-server and llama-bench from the source and with the flags that our own llama.cpp libraries were built
# from (build/release), in the cache folder beside them. Prints the folder of the two binaries. Quick when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -f build/release/build.ninja ] || cmake --preset release >&2
libraries=$(grep -o '[^ ]*/llama\.cpp-build-[0-9a-f]*' build/release/build.ninja | head -n 1)
configured=$(grep -- ' -G Ninja ' "$libraries/build.sh" | head -n 1)
source=$(sed 's/.* -S \([^ ]*\) .*/\1/' <<< "$configured")
read -r -a options <<< "$(sed 's/.* -G Ninja \(.*\) > .*/\1/' <<< "$configured")"
peer=${libraries/llama.cpp-build-/llama.cpp-peer-}

if [ ! -x "$peer/bin/llama-server" ] || [ ! -x "$peer/bin/llama-bench" ]; then
    echo "Building llama-server and llama-bench in $peer (some minutes, once)" >&2
    cmake -S "$source" -B "$peer" -G Ninja "${options[@]}" \
        -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF >&2
    cmake --build "$peer" --target llama-server llama-bench >&2
fi
echo "$peer/bin"
