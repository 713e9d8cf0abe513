#!/usr/bin/env bash
# Installs what the foreign baselines need, as far as possible. The run skips a baseline that is
# not installed, and names it.
set -uo pipefail
cd "$(dirname "$0")"

if command -v npm >/dev/null && [ ! -d node/node_modules ]; then
  echo "setup: installing the Node baselines"
  (cd node && npm ci --silent --no-audit --no-fund) || echo "setup: no Node baselines"
fi

if [ ! -e /usr/lib/nginx/modules/ngx_nchan_module.so ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: installing nginx with Nchan"
  export DEBIAN_FRONTEND=noninteractive
  # Only nginx's files are needed: its service must not start. A policy that exists already is
  # left as it is.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx libnginx-mod-nchan >/dev/null; } \
    || echo "setup: no Nchan"
fi
exit 0
