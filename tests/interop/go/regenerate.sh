#!/bin/sh
# Regenerates ottoscaler/v1/*.pb.go from proto/, with the plug-ins that go.mod pins. Run it after a change of proto/.
# regenerate.sh --check only says whether they are up to date.
set -eu
cd "$(dirname "$0")"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"${BUF:-../../../.tools/bin/buf}" generate ../../../proto --path ../../../proto/ottoscaler --output "$made"
gofmt -w "$made"
if [ "${1:-}" = --check ]; then
  diff -r "$made/ottoscaler" ottoscaler
else
  rm -rf ottoscaler
  cp -r "$made/ottoscaler" .
fi
