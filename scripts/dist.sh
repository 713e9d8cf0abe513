#!/usr/bin/env bash
# Puts the release build into dist/, stripped, with a list of the crates in it (CycloneDX) and checksums.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
target=$(rustc -vV | sed -n 's/^host: //p')
name="otto-handler-$version-$target"

rm -rf dist && mkdir dist
cp target/release/otto-handler "dist/$name"
strip "dist/$name"
scripts/sbom.py > "dist/$name.cdx.json"
(cd dist && sha256sum "$name"* > SHA256SUMS && sha256sum --quiet --check SHA256SUMS)
"dist/$name" --version
ls -l dist
