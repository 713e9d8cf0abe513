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

# unpacked PROGRAM: the program of Debian's package of that name, unpacked under .tools. Nothing is installed or started as a
# service. Where that cannot be done the tests with this program say that they are skipped.
unpacked() {
  if PATH=$PATH:/usr/sbin:$PWD/.tools/$1/usr/sbin:$PWD/.tools/$1/usr/bin command -v "$1" >/dev/null; then return; fi
  echo "setup: installing $1"
  mkdir -p ".tools/$1"
  (
    cd ".tools/$1"
    fetch() { apt-get -o APT::Sandbox::User=root download -qq "$1"; }
    fetch "$1" || { apt-get update -qq && fetch "$1"; }
    for package in ./*.deb; do dpkg-deb -x "$package" . && rm "$package"; done
  ) || echo "setup: $1 cannot be installed"
}
unpacked nginx
unpacked caddy
unpacked prometheus # with promtool

tests/interop/setup.sh

scripts/setup-linters.sh
