#!/usr/bin/env bash
# Runs the vault's tests with etcd as their store. Arguments are packages, and
# flags of go test.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- ./internal/vault/... ./internal/cli/... ./internal/app/... ./internal/testenv/...
STRONGKEEP_TEST_STORE=etcd exec go test -count=1 -timeout 20m -p 2 "$@"
