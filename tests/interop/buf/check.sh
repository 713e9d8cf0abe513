#!/usr/bin/env bash
# Runs the interop cases with `buf curl`, which learns the messages by server reflection: check.sh ADDR
# It prints `case: ok` or `case: FAIL reason` for every case.
here=$(cd "$(dirname "$0")" && pwd)
address=$1
. "$here/../support/cases.sh"

call() {
  buf curl --protocol grpc --http2-prior-knowledge --emit-defaults --data @- "${@:2}" "http://$address/$1"
}

forward() {
  call $log_service/ForwardWorkerLogs "$@"
}

push() {
  entries buf-push 1 200 | forward | responses | diff - <(acks 200)
}

drop() {
  local response nameless='{"workerId": "otto-agent-buf-drop-1", "message": "lost"}'
  response=$( (entries buf-drop 1 1 && echo "$nameless" && entries buf-drop 2 2) | forward)
  echo "$response" | responses | diff - <(printf 'ACK 1\nDROP 2\nACK 3\n')
  echo "$response" | grep -q '"message": *".*task_id' || echo "the reason does not name task_id: $response"
}

notify() {
  call $log_service/NotifyWorkerStatus <<'JSON'
{"workerId": "otto-agent-buf-status-1", "taskId": "buf-status", "status": "RUNNING", "timestamp": "2025-09-01T12:34:56Z"}
JSON
}

status() {
  notify | status_word | diff - <(echo RECEIVED)
  notify | status_word | diff - <(echo IGNORED)
}

check() {
  echo "{\"service\": \"$1\"}" | call grpc.health.v1.Health/Check
}

health() {
  check '' | status_word | diff - <(echo SERVING)
  check $log_service | status_word | diff - <(echo SERVING)
  case $(check no.such.Service 2>&1) in
    *'"code": "not_found"'*) ;;
    *) echo 'an unknown service has a health status' ;;
  esac
}

reflection() {
  buf curl --list-services --protocol grpc --http2-prior-knowledge "http://$address" | grep -xE "$log_service|grpc.health.v1.Health" |
    sort | diff - <(printf '%s\n' grpc.health.v1.Health $log_service)
}

echo "versions: buf $(buf --version)"
run push push
run drop drop
run status status
run health health
run reflection reflection
