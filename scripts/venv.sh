#!/usr/bin/env bash
# Makes build/venv, the Python environment of the end-to-end tests, and prints the path of its interpreter. The stamp
# holds the requirements that are installed, so a second call does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/venv
requirements=tests/e2e/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
    echo "Setting up $venv" >&2
    mkdir -p build
    # Debian's own interpreter first: python3-venv, which `make deps` installs, belongs to that one.
    python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    cp "$requirements" "$venv/installed.txt"
fi
echo "$PWD/$venv/bin/python"
