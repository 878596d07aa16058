#!/usr/bin/env bash
# Fetches the official JSON-Schema-Test-Suite, which the source package of Python's jsonschema carries, into
# build/json-schema-test-suite. Pinned by version and SHA-256; a second call does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

package=jsonschema==4.26.0
hash=0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326
suite=build/json-schema-test-suite

if [ "$(cat "$suite/fetched" 2> /dev/null)" = "$hash" ]; then exit 0; fi
python=$(scripts/venv.sh)
work=$(mktemp -d build/schema-suite.XXXXXX)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary jsonschema --dest "$work" "$package"
archive=$(echo "$work"/jsonschema-*.tar.gz)
if ! echo "$hash  $archive" | sha256sum --check --status; then
    echo "The source package of $package is not the one that was reviewed: its SHA-256 is not $hash" >&2
    exit 1
fi
tar -xzf "$archive" -C "$work" --strip-components=2 --wildcards '*/json/tests'
rm -rf "$suite"
mv "$work/tests" "$suite"
echo "$hash" > "$suite/fetched"
