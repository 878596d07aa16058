#!/usr/bin/env bash
# Installs every Debian 12 package that building and testing needs. Quick when nothing is missing: then it only asks
# dpkg, touches no network and needs no root.
set -euo pipefail

packages=(
    # tools
    g++ cmake ninja-build make git ccache mold clang-format clang-tidy-19 clang-19 libclang-rt-19-dev ca-certificates curl jq
    python3 python3-venv
    # the browser that tests the page
    chromium
    # servers that tests pull from
    docker-registry nginx-light
    # libraries
    libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libprotobuf-dev protobuf-compiler
    prometheus-cpp-dev libspdlog-dev libfmt-dev libcli11-dev libssl-dev libgtest-dev
    libcurl4-openssl-dev libzstd-dev libxxhash-dev libsqlite3-dev libsqlitecpp-dev zlib1g-dev libtomlplusplus-dev
    libedit-dev)

# Node and Go often come from elsewhere, and Debian's npm would conflict with another Node.
command -v npm > /dev/null || packages+=(npm)
command -v go > /dev/null || [ -x /usr/local/go/bin/go ] || packages+=(golang-go)

if ! command -v dpkg-query > /dev/null; then
    echo "This script knows Debian 12 only. Install what these packages hold by your own means:" >&2
    echo "  ${packages[*]}" >&2
    exit 1
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2> /dev/null |
    sed -n 's/^installed //p' || true)
missing=()
for package in "${packages[@]}"; do
    grep -qxF -- "$package" <<< "$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "These packages are missing and only root can install them: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing ${missing[*]}"
apt_get() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"; }
apt_get update
if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
    echo "apt-get could not install: ${missing[*]}" >&2
    echo "The names are Debian 12's (bookworm); another release may call them differently." >&2
    exit 1
fi
