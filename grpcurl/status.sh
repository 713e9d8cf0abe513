#!/bin/sh
# Reports a worker's status: status.sh [FILE], where FILE holds the notification as JSON.
exec grpcurl -plaintext -emit-defaults -d @ "${ADDR:-127.0.0.1:8080}" \
  ottoscaler.v1.OttoHandlerLogService/NotifyWorkerStatus < "${1:-$(dirname "$0")/requests/status.json}"
