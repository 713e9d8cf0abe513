#!/bin/sh
# Describes a service, method or message, by reflection: describe.sh [SYMBOL]
exec grpcurl -plaintext "${ADDR:-127.0.0.1:8080}" describe "${1:-ottoscaler.v1.OttoHandlerLogService}"
