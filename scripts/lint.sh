#!/usr/bin/env bash
# lint.sh [check|format]
#   check    clang-format over every tracked C++ file, then clang-tidy over the sources that changed (the default)
#   format   rewrites the C++ files in the project's format
#
# Changed means: against the merge base with origin/main, or against HEAD's parent where HEAD is that base. A source
# that passed is not looked at again until it, a header or .clang-tidy changes. After LINT_SECONDS (default 1200)
# clang-tidy takes on no more files; those it had no time for are named and do not pass: run it again.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.h' | while read -r f; do
    if [ -f "$f" ]; then echo "$f"; fi
done)

if [ "${1:-check}" = format ]; then
    clang-format -i "${files[@]}"
    exit 0
fi

echo "clang-format: ${#files[@]} files"
if ! clang-format --dry-run --Werror "${files[@]}"; then
    echo "Run 'make format'." >&2
    exit 1
fi

base=$(git merge-base origin/main HEAD 2> /dev/null || true)
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse --verify --quiet HEAD~1 || git hash-object -t tree /dev/null)
fi
# Tests are left out: GoogleTest's macros expand to what several checks object to.
mapfile -t changed < <({
    git diff --name-only --diff-filter=d "$base" -- 'src/*.cpp'
    git ls-files --others --exclude-standard -- 'src/*.cpp'
} | grep -v '_test\.cpp$' | sort -u)
if [ ${#changed[@]} -eq 0 ]; then
    echo "clang-tidy: nothing changed"
    exit 0
fi

# clang-tidy needs the compile commands and the generated protobuf header, nothing else of the build.
mkdir -p build
scripts/build.sh dev sutazai_proto > build/lint-build.log 2>&1 || { cat build/lint-build.log; exit 1; }

stamps=build/lint-passed
mkdir -p "$stamps"
headers=$(cat .clang-tidy proto/*.proto $(git ls-files 'src/*.h') | sha256sum)

tidy() {
    local file=$1 stamp
    stamp=$stamps/$(echo "$headers" | cat - "$file" | sha256sum | cut -c1-32)
    if [ -f "$stamp" ]; then return 0; fi
    if [ "$(date +%s)" -ge "$deadline_epoch" ]; then
        echo "clang-tidy: out of time for $file" >&2
        return 1
    fi
    if ! grep -qF "/$file\"" build/dev/compile_commands.json; then
        echo "clang-tidy: $file is not part of the build" >&2
        return 1
    fi
    if clang-tidy-19 --quiet -p build/dev --extra-arg=-Wno-unknown-warning-option "$file" 2> "$stamp.err"; then
        touch "$stamp"
        rm -f "$stamp.err"
    else
        cat "$stamp.err" >&2
        rm -f "$stamp.err"
        return 1
    fi
}
export -f tidy
export stamps headers
export deadline_epoch=$(($(date +%s) + ${LINT_SECONDS:-1200}))

echo "clang-tidy: ${#changed[@]} files changed since $(git rev-parse --short "$base")"
printf '%s\0' "${changed[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy "$1"' tidy
