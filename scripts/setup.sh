#!/usr/bin/env bash
# Installs what the tests need beyond the toolchains (Rust, Go, Node, Python), where it is
# missing. Does nothing when everything is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null; then
  echo "setup: installing chromium"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

if [ ! -d tests/browser/node_modules/@xterm/headless ]; then
  echo "setup: installing what the browser tests need"
  (cd tests/browser && npm ci --silent --no-audit --no-fund)
fi

tests/interop/setup.sh

if ! cmp -s scripts/lint-requirements.txt .tools/lint/requirements.txt; then
  echo "setup: installing the linters"
  python3 -m venv --clear .tools/lint
  .tools/lint/bin/pip install --quiet --disable-pip-version-check -r scripts/lint-requirements.txt
  cp scripts/lint-requirements.txt .tools/lint/requirements.txt
fi
