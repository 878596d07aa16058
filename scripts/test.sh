#!/usr/bin/env bash
# test.sh [dev|asan|tsan|fuzz|all] [pytest arguments]: builds and runs the tests of one preset, or of all in turn, and stops
# at the first stage that fails. The last line is always "N passed, N failed": the sum over every runner that ran.
set -uo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
shift || true
results=build/test-results
rm -rf "$results"
mkdir -p "$results"
broken_stages=0

finish() {
    local status=$?
    trap - EXIT
    if [ "$status" -ne 0 ]; then echo "Stopped at the first stage that failed."; fi
    python3 scripts/tally.py "$results" "$broken_stages" || status=1
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A stage that fails without naming a failed test (a build, say) counts as one failure.
stage() {
    local title=$1
    shift
    echo
    echo "== $title"
    local start=$SECONDS
    if ! "$@"; then
        if ! python3 scripts/tally.py --has-failures "$results"; then broken_stages=1; fi
        exit 1
    fi
    echo "== $title: $((SECONDS - start)) s"
}

# unit PRESET [MODULE]: all unit tests of a preset, or one module's.
unit() {
    local preset=$1 module=${2:-}
    stage "unit tests, $preset $module" ctest --test-dir "build/$preset${module:+/src/$module}" -j "$(nproc)" \
        --output-on-failure --no-tests=error --progress --output-junit "$PWD/$results/unit-$preset-${module//\//_}.xml"
}

end_to_end() {
    local preset=$1 python
    shift
    python=$(scripts/venv.sh) || { broken_stages=1; exit 1; }
    stage "the page's bundle" scripts/page.sh check
    stage "trained test models" scripts/test-models.sh
    stage "clients of Ollama's API" scripts/clients.sh
    stage "end-to-end tests, $preset" env SUTAZAI_BIN="$PWD/build/$preset/sutazai" "$python" -m pytest -q tests/e2e \
        --junitxml="$results/e2e-$preset.xml" -o junit_suite_name="e2e-$preset" "$@"
}

test_dev() {
    stage "build, dev" scripts/build.sh dev
    unit dev
    end_to_end dev "$@"
}

test_asan() {
    stage "build, asan" scripts/build.sh asan
    # llama.cpp is built without sanitizers and hands containers over to code that has them. A model file that is cut
    # short under an engine ends it with SIGBUS, as it should be.
    export ASAN_OPTIONS=handle_sigbus=0:detect_container_overflow=0:detect_stack_use_after_return=1:strict_string_checks=1
    export LSAN_OPTIONS=suppressions=$PWD/scripts/lsan.supp:print_suppressions=0
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    unit asan
    E2E_SLOWDOWN=5 end_to_end asan "$@"
}

test_tsan() {
    # The modules whose tests have threads; of the engine those with a model of their own, because TSan sees nothing of
    # the synchronisation inside llama.cpp and libgomp and would report all of it.
    local module modules=(base ipc fetch upstream models serve http engine/threads)
    stage "build, tsan" scripts/build.sh tsan $(printf 'sutazai_%s_test ' "${modules[@]//\//_}")
    for module in "${modules[@]}"; do unit tsan "$module"; done
}

# Each fuzz target for FUZZ_SECONDS (default 10), from the committed corpus; what it finds of interest stays in build/.
test_fuzz() {
    stage "build, fuzz" scripts/build.sh fuzz sutazai_fuzz
    stage "fuzzing" scripts/fuzz.sh
}

case $what in
    dev) test_dev "$@" ;;
    asan) test_asan "$@" ;;
    tsan) test_tsan ;;
    fuzz) test_fuzz ;;
    all)
        test_dev "$@"
        test_asan "$@"
        test_tsan
        FUZZ_SEED=1 test_fuzz
        ;;
    *)
        echo "usage: scripts/test.sh [dev|asan|tsan|fuzz|all] [pytest arguments]" >&2
        exit 2
        ;;
esac
