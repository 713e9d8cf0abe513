# For the shell clients. A case is a function that prints what is wrong, or nothing when it passes.
set -uo pipefail

log_service=ottoscaler.v1.OttoHandlerLogService

# run CASE FUNCTION: prints `CASE: ok` or `CASE: FAIL reason`.
run() {
  local problem
  if problem=$("$2" 2>&1) && [ -z "$problem" ]; then
    echo "$1: ok"
  else
    echo "$1: FAIL $(echo "${problem:-failed and printed nothing}" | tr -s '\n\t ' ' ' | cut -c 1-300)"
  fi
}

# entries TASK FIRST LAST: numbered entries of one worker, one JSON object per line.
entries() {
  seq -f "{\"workerId\": \"otto-agent-$1-1\", \"taskId\": \"$1\", \"message\": \"line %.0f\"}" "$2" "$3"
}

# responses: turns the JSON responses to a push into lines such as `ACK 1`.
responses() {
  grep -oE '"(status|sequence)": *"[^"]*"' | sed -E 's/.*: *"(.*)"/\1/' | paste -d ' ' - -
}

acks() {
  seq -f 'ACK %.0f' 1 "$1"
}

# status_word: the value of "status" in a JSON response.
status_word() {
  sed -nE 's/.*"status": *"([A-Z_]+)".*/\1/p'
}
