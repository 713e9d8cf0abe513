#!/bin/sh
# Pushes entries, one JSON object per line, on one stream and prints every response: push-file.sh [FILE]
# -max-time sets the stream's deadline in seconds; ottoscaler's is 30 minutes.
exec grpcurl -plaintext -emit-defaults -max-time 1800 -d @ "${ADDR:-127.0.0.1:8080}" \
  ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs < "${1:-$(dirname "$0")/requests/entries.jsonl}"
