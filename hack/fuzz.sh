#!/usr/bin/env bash
# Runs every fuzzer of the module for FUZZTIME each.
set -euo pipefail
cd "$(dirname "$0")/.."
time="${FUZZTIME:-60s}"
grep -rlE '^func Fuzz' --include='*_test.go' internal api test cmd 2>/dev/null | xargs -n1 dirname | sort -u | while read -r dir; do
  grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r name; do
    echo "=== fuzz $dir $name ($time)"
    go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time"
  done
done
