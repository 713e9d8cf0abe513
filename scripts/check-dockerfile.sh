#!/usr/bin/env bash
# Checks the Dockerfile as far as it can be checked without a container engine: by hadolint's rules,
# and that everything it copies is in the repository and not hidden by .dockerignore.
set -euo pipefail
cd "$(dirname "$0")/.."

# Any finding is an error.
.tools/lint/bin/hadolint Dockerfile

sources=$(sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' Dockerfile)
[ -n "$sources" ] || { echo "the Dockerfile copies nothing"; exit 1; }
for source in $sources; do
  git ls-files --error-unmatch "$source" >/dev/null || { echo "the Dockerfile copies $source, which is not in the repository"; exit 1; }
  grep -qx "!$source" .dockerignore || { echo "the Dockerfile copies $source, which .dockerignore hides"; exit 1; }
done
echo "Dockerfile: no findings, and all copied files exist"
