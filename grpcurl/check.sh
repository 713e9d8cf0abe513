#!/usr/bin/env bash
# Runs the scripts of this folder against a running server and checks what grpcurl prints: check.sh [ADDR]
# It prints `case: ok` or `case: FAIL reason` for every case; tests/interop/run calls it.
here=$(cd "$(dirname "$0")" && pwd)
export ADDR=${1:-${ADDR:-127.0.0.1:8080}}
. "$here/../tests/interop/support/cases.sh"

push() {
  entries grpcurl-push 1 200 | "$here/push-file.sh" /dev/stdin | responses | diff - <(acks 200)
  "$here/push-one.sh" | responses | diff - <(acks 1)
}

deadline() {
  for first in 1 11; do
    entries grpcurl-deadline $first $((first + 9)) | "$here/push-file.sh" /dev/stdin | responses | diff - <(acks 10)
  done
}

drop() {
  local response
  response=$("$here/push-file.sh")
  echo "$response" | responses | diff - <(printf 'ACK 1\nDROP 2\nACK 3\n')
  echo "$response" | grep -q '"message": ".*task_id' || echo "the reason does not name task_id: $response"
}

status() {
  "$here/status.sh" | status_word | diff - <(echo RECEIVED)
  "$here/status.sh" | status_word | diff - <(echo IGNORED)
}

health() {
  "$here/health.sh" | status_word | diff - <(echo SERVING)
  "$here/health.sh" $log_service | status_word | diff - <(echo SERVING)
  case $("$here/health.sh" no.such.Service 2>&1) in
    *'Code: NotFound'*) ;;
    *) echo 'an unknown service has a health status' ;;
  esac
}

reflection() {
  "$here/list.sh" | grep -xE "$log_service|grpc.health.v1.Health" | sort | diff - <(printf '%s\n' grpc.health.v1.Health $log_service)
  "$here/describe.sh" | grep -c '^  rpc ' | diff - <(echo 2)
}

echo "versions: $(grpcurl -version 2>&1)"
run push push
run deadline deadline
run drop drop
run status status
run health health
run reflection reflection
