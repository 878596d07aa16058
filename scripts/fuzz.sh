#!/usr/bin/env bash
# fuzz.sh [TARGET...]: runs each fuzz target (default: all) for FUZZ_SECONDS (default 10), two at a time, starting from
# its committed corpus and from what earlier runs found. An input that breaks something is left in build/fuzz/broken/.
# FUZZ_SEED=N draws the same changes each time, so that a commit which passed is not judged by other inputs elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/fuzz/tests/fuzz
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(find tests/fuzz/corpus -mindepth 1 -maxdepth 1 -printf '%f\n' | sort); fi

run() {
    local target=$1 found=build/fuzz/found/$1 log=build/fuzz/$1.log
    mkdir -p "$found" build/fuzz/broken
    if "$folder/fuzz_$target" -max_total_time="${FUZZ_SECONDS:-10}" -seed="${FUZZ_SEED:-0}" \
        -timeout=5 -rss_limit_mb=2048 -max_len=16384 \
        -artifact_prefix="build/fuzz/broken/$target-" "$found" "tests/fuzz/corpus/$target" > "$log" 2>&1; then
        echo "$target: $(tail -n 1 "$log")"
    else
        tail -n 60 "$log"
        return 1
    fi
}
export -f run
export folder
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P 2 bash -c 'run "$1"' run
