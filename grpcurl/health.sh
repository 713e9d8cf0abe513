#!/bin/sh
# Asks for the health of the server, or of one service: health.sh [SERVICE]
exec grpcurl -plaintext -d "{\"service\": \"${1:-}\"}" "${ADDR:-127.0.0.1:8080}" grpc.health.v1.Health/Check
