# Every target does its own set-up; running one twice is quick.
.PHONY: help run test deps build bench format lint asan tsan fuzz clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

# Job control puts the server into a foreground process group of its own, so that ctrl-C ends it and not make.
run: build ## build, start the server on the default model, show one streamed answer, stay up until ctrl-C
	@if [ -t 0 ]; then bash -mc 'scripts/run.sh; exit $$?'; else scripts/run.sh; fi

test: deps ## build and run every test: unit, end-to-end, both again under sanitizers, and a minute of fuzzing
	@scripts/test.sh all

deps: ## install the packages that are missing (Debian 12; root or sudo)
	@scripts/install-deps.sh

build: deps ## the release binary, build/release/sutazai
	@scripts/build.sh release sutazai

# The multi-turn trace is Mooncake's, which is not ours to ship; without a file that part is left out and said so.
TRACE ?= $(wildcard ../shared/data/traces/mooncake_conversation.jsonl)

bench: build ## side by side with llama-server built from the same source (TRACE=mooncake_conversation.jsonl)
	@status=0; for part in io_thread run scheduling together adapters agents siblings warmset restart quantize pull upstreams tools batches; do python3 bench/$$part.py || status=1; done; \
	if [ -n "$(TRACE)" ]; then python3 bench/replay.py mooncake "$(TRACE)" --requests 300 --scale 64 --closed-loop 8 \
	    --side sutazai --bar 0.95 || status=1; else echo "replay: no TRACE, left out"; fi; exit $$status

format: deps ## rewrite the C++ files in the project's format
	@scripts/lint.sh format

lint: deps ## check the format of all C++ files and run clang-tidy on the changed ones
	@scripts/lint.sh

asan: deps ## unit and end-to-end tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/test.sh asan

tsan: deps ## unit tests under ThreadSanitizer
	@scripts/test.sh tsan

fuzz: deps ## each fuzz target for FUZZ_SECONDS (default 10)
	@scripts/test.sh fuzz

clean: ## remove build/ (the llama.cpp source and libraries are kept in the user's cache folder)
	rm -rf build
