#!/usr/bin/env bash
# build.sh PRESET [ninja arguments]: configures build/PRESET where that is needed and builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
folder=build/$preset

if [ ! -f "$folder/build.ninja" ]; then
    cmake --preset "$preset"
fi
ninja -C "$folder" "$@"
