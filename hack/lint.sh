#!/usr/bin/env bash
# Runs every check that needs no test: formatting, vet, the linters, budgets,
# and that generated files are as their generators make them.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${STRONGKEEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/strongkeep}/bin"
mkdir -p "$cache"
echo "lint: building the linters (the first time takes minutes)"
(cd hack/lint && GOWORK=off go build -o "$cache/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
"$cache/golangci-lint" run ./...
bash hack/budget.sh
bash hack/generate.sh --check
echo "lint: ok"
