#!/usr/bin/env bash
# What can be checked of the Dockerfile without an engine: its rules, by hadolint, and that
# everything it copies is there and let through by .dockerignore.
set -euo pipefail
cd "$(dirname "$0")/.."

# DL3008 asks to pin apt packages; none is installed. Anything it finds is an error.
.tools/lint/bin/hadolint Dockerfile

sources=$(sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' Dockerfile)
[ -n "$sources" ] || { echo "Dockerfile copies nothing"; exit 1; }
for source in $sources; do
  git ls-files --error-unmatch "$source" >/dev/null || { echo "Dockerfile copies $source, which is not in the repository"; exit 1; }
  grep -qx "!$source" .dockerignore || { echo "Dockerfile copies $source, which .dockerignore hides"; exit 1; }
done
echo "Dockerfile: rules kept, all copied files are there"
