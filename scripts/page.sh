#!/usr/bin/env bash
# page.sh [build|check]
#   build   makes web/dist, which the server has in its binary, from the page's sources (the default)
#   check   types, and whether web/dist is what would be made
# Both install what web/package-lock.json names, once.
set -euo pipefail
cd "$(dirname "$0")/../web"

if ! cmp -s package-lock.json node_modules/installed-lock.json; then
    echo "Installing what the page is built with" >&2
    npm ci --silent --no-audit --no-fund >&2
    cp package-lock.json node_modules/installed-lock.json
fi
npx --no-install tsc --noEmit
if [ "${1:-build}" = build ]; then
    node build.mjs
    exit 0
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
node build.mjs "$made"
if ! diff -rq dist "$made"; then
    echo "web/dist is not what its sources make: run scripts/page.sh and commit it." >&2
    exit 1
fi
