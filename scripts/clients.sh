#!/usr/bin/env bash
# clients.sh: installs the clients that others have made and the end-to-end tests drive, once, in the cache folder, and
# prints that folder. In it:
#
#   bin/ollama     Ollama's own command line, built from its source
#   node_modules   clients for JavaScript, Ollama's and Anthropic's; an MCP server
#   venv           LangChain, LlamaIndex and llm with their Ollama packages, LangChain's for Anthropic, LiteLLM, MCP's client
#   openai         OpenAI's client for JavaScript and the Vercel AI SDK, in node_modules of its own
#   agents         the OpenAI Agents SDK, a virtual environment of its own
#   openai_2       instructor and LlamaIndex's package for servers of OpenAI's API, which need an older client of OpenAI's
set -euo pipefail
cd "$(dirname "$0")/.."

ollama=github.com/ollama/ollama@v0.33.0
ollama_js=ollama@0.6.4
anthropic_js=@anthropic-ai/sdk@1.14.0
mcp_server=@modelcontextprotocol/server-everything@2026.8.31
openai_js="openai@7.57.0 ai@6.0.326 @ai-sdk/openai@3.0.141 zod@4.6.7"
# What Ollama's go.mod asks for, where the machine's own is older or there is none.
least_go=1.26
go_toolchain=golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64
requirements=tests/clients/requirements.txt
agents_requirements=tests/clients/agents.txt
openai_2_requirements=tests/clients/openai_2.txt

key=$(cat "$0" "$requirements" "$agents_requirements" "$openai_2_requirements" | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sutazai
clients=$cache/clients-$key
if [ -f "$clients/complete" ]; then
    echo "$clients"
    exit 0
fi

is_new_enough() {
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2> /dev/null) || return 1
    printf '%s\n' "$least_go" "${version#go}" | sort --check=quiet --version-sort
}

# Prints a go that is new enough. A newer one than Debian's comes as a module, whose programs are not executable then.
find_go() {
    local go=go found
    for found in go /usr/local/go/bin/go; do
        if command -v "$found" > /dev/null && is_new_enough "$found"; then
            command -v "$found"
            return
        fi
    done
    found=$("$go" mod download -json "$go_toolchain" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    chmod -R u+w,+x "$found/bin" "$found/pkg/tool"
    echo "$found/bin/go"
}

build_ollama() {
    local go
    go=$(find_go)
    echo "Building Ollama's command line" >&2
    GOTOOLCHAIN=local GOBIN=$clients/bin GOFLAGS=-buildvcs=false "$go" install "$ollama" >&2
}

install_js() {
    echo "Installing clients for JavaScript" >&2
    npm install --silent --no-audit --no-fund --no-save --no-package-lock --prefix "$clients" \
        "$ollama_js" "$anthropic_js" "$mcp_server" >&2
}

install_python() {
    echo "Installing clients for Python" >&2
    local python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    "$python" -m venv "$clients/venv" >&2
    "$clients/venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
}

install_openai() {
    echo "Installing OpenAI's client for JavaScript, the AI SDK and the Agents SDK" >&2
    mkdir -p "$clients/openai"
    # shellcheck disable=SC2086 # one word a package
    npm install --silent --no-audit --no-fund --no-save --no-package-lock --prefix "$clients/openai" $openai_js >&2
    local python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    "$python" -m venv "$clients/agents" >&2
    "$clients/agents/bin/pip" install --quiet --disable-pip-version-check -r "$agents_requirements" >&2
}

install_openai_2() {
    echo "Installing instructor and LlamaIndex's OpenAILike" >&2
    local python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    "$python" -m venv "$clients/openai_2" >&2
    "$clients/openai_2/bin/pip" install --quiet --disable-pip-version-check -r "$openai_2_requirements" >&2
}

mkdir -p "$cache"
exec 9> "$cache/clients.lock"
flock 9
if [ ! -f "$clients/complete" ]; then
    rm -rf "$clients"
    mkdir -p "$clients"
    build_ollama
    install_js
    install_python
    install_openai
    install_openai_2
    touch "$clients/complete"
fi
echo "$clients"
