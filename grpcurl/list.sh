#!/bin/sh
# Lists the services, by reflection.
exec grpcurl -plaintext "${ADDR:-127.0.0.1:8080}" list
