#!/usr/bin/env bash
# Pushes one fixed input through two programs and compares what they write and send:
#   scripts/same-bytes.sh OLD NEW
#
# Compared byte by byte, once with several tasks and once with one alone: META, the segments
# (sealed by age and by size), every response to a producer, and every SSE stream, NDJSON, text and
# JSON body, read while the program holds the entries in memory and again after a restart.
#
# The input, and where commits begin and end, is fixed by tests/integration/fixture/input.rs. What
# would differ from run to run is treated so:
# - the clock is stopped by a library that stands before libc,
# - the epoch of a new store is written into META beforehand,
# - left out are `retry:` lines, which have jitter, and the frames of an id alone that a filtered
#   stream sends at the end of each read,
# - the footer of a sealed segment has tasks and workers in the order of hash maps with random
#   seeds, so with several tasks a sealed segment is compared up to its footer, and the footer by its
#   length; with one task of one worker it is compared whole.
# Nothing else is masked.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: $0 OLD NEW, two otto-handler programs" >&2
  exit 2
fi
old=$(realpath "$1")
new=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/clock.c" <<'C'
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *out) {
  if (id != CLOCK_REALTIME) return syscall(SYS_clock_gettime, id, out);
  out->tv_sec = atoll(getenv("OTTO_CLOCK"));
  out->tv_nsec = 123000000;
  return 0;
}
C
"${CC:-cc}" -shared -fPIC -o "$work/clock.so" "$work/clock.c"

record() {
  OTTO_RECORD_PROGRAM=$1 OTTO_RECORD_TO=$work/$2 OTTO_RECORD_CLOCK=$work/clock.so OTTO_RECORD_BULK=1 \
    cargo test --locked --quiet --test integration records_the_fixed_input -- --ignored
}
record "$old" old
record "$new" new

# Where the entries of a segment end: the trailer's second field if it has one, else its length.
data_end() {
  local size
  size=$(stat -c %s "$1")
  if [ "$(tail -c 76 "$1" | head -c 8 | od -An -tx1 | tr -d ' ')" = f66f68666f6f7431 ]; then
    tail -c 68 "$1" | head -c 8 | od -An -tu8 | tr -d ' '
  else
    echo "$size"
  fi
}

diff -r "$work/old/alone" "$work/new/alone"
diff -r --exclude='*.seg' "$work/old/mixed" "$work/new/mixed"
sizes() { (cd "$1" && stat -c '%n %s' ./*.seg); }
diff <(sizes "$work/old/mixed/data") <(sizes "$work/new/mixed/data")
for segment in "$work"/old/mixed/data/*.seg; do
  cmp -n "$(data_end "$segment")" "$segment" "$work/new/mixed/data/${segment##*/}"
done
echo "the same: $(find "$work/new" -type f | wc -l) files, of them" \
  "$(find "$work/new" -name '*.seg' | wc -l) segments, $(du -sb "$work/new" | cut -f1) bytes in all"
