#!/usr/bin/env bash
# Installs what the interop clients need, under .tools/ and go's and npm's own caches: setup.sh [go|node|python|grpcurl|buf|openapi|openmetrics]...
# Quick when everything is installed. Exits with 77, the reason as the last line, when a toolchain is missing and cannot be installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/.tools
grpcurl_version=1.9.4

unavailable() {
  echo "$*" >&2
  exit 77
}

need() {
  command -v "$1" > /dev/null || unavailable "$1 is not installed"
}

setup_go() {
  need go
  cd "$here/go"
  go mod download || unavailable 'go mod download failed'
  go build -o "$tools/bin/interop-go" .
}

setup_node() {
  need node
  need npm
  cd "$here/node"
  [ node_modules/.package-lock.json -nt package-lock.json ] && return
  npm ci --ignore-scripts > /dev/null || unavailable 'npm ci failed'
  touch node_modules/.package-lock.json
}

# venv NAME REQUIREMENTS: a virtual environment .tools/NAME with exactly these packages.
venv() {
  need python3
  cmp -s "$2" "$tools/$1/requirements.txt" && return
  rm -rf "${tools:?}/$1"
  python3 -m venv "$tools/$1" || unavailable 'python3 -m venv failed'
  "$tools/$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" || unavailable "pip install -r $(basename "$(dirname "$2")")/requirements.txt failed"
  cp "$2" "$tools/$1/requirements.txt"
}

setup_python() {
  venv python "$here/python/requirements.txt"
}

setup_openapi() {
  venv openapi "$here/openapi/requirements.txt"
}

setup_buf() {
  venv buf "$here/buf/requirements.txt"
  ln -sf ../buf/bin/buf "$tools/bin/buf"
}

setup_grpcurl() {
  "$tools/bin/grpcurl" -version 2>&1 | grep -qF "grpcurl $grpcurl_version" && return
  need go
  GOBIN=$tools/bin go install -ldflags "-X main.version=$grpcurl_version" \
    "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$grpcurl_version" || unavailable 'go install of grpcurl failed'
}

setup_openmetrics() {
  venv openmetrics "$here/prometheus/requirements.txt"
}

mkdir -p "$tools/bin"
[ $# -gt 0 ] || set -- go node python grpcurl buf openapi openmetrics
for part in "$@"; do
  "setup_$part"
done
