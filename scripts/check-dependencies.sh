#!/usr/bin/env bash
# Checks licences, sources, duplicates and advisories of all that we build from, by deny.toml.
# Advisories are checked where their database can be fetched; where it cannot, that is said.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.tools/lint/bin:$PATH"
FETCH_LIMIT_SECONDS=60

command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed; \`make setup\` installs it" >&2; exit 1; }

check() { # check MANIFEST OPTION-OR-CHECK...
  cargo-deny --locked --manifest-path "$1" --config deny.toml check --hide-inclusion-graph \
    --allow license-exception-not-encountered "${@:2}"
}

what=(bans licenses sources)
if timeout "$FETCH_LIMIT_SECONDS" cargo-deny --locked --config deny.toml fetch db >/dev/null 2>&1; then
  what+=(advisories)
else
  echo "dependencies: advisories are not checked, since their database cannot be fetched"
fi
check Cargo.toml "${what[@]}"
# Duplicates among the product's dependencies have been named above.
check benches/Cargo.toml --allow duplicate "${what[@]}"
check fuzz/Cargo.toml --allow duplicate "${what[@]}"
