#!/bin/sh
# Pushes one line and prints its response: push-one.sh [FILE], where FILE holds the entry as JSON.
here=$(dirname "$0")
exec "$here/push-file.sh" "${1:-$here/requests/entry.json}"
