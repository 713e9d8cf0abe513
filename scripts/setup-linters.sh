#!/usr/bin/env bash
# Installs the linters, where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cmp -s scripts/lint-requirements.txt .tools/lint/requirements.txt; then
  echo "setup: installing the linters"
  python3 -m venv --clear .tools/lint
  .tools/lint/bin/pip install --quiet --disable-pip-version-check -r scripts/lint-requirements.txt
  cp scripts/lint-requirements.txt .tools/lint/requirements.txt
fi
