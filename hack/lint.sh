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
# The modules beside ours follow our dependencies; nothing else notices before the tests.
for module in . test/rbac; do
  if ! (cd "$module" && go list -deps -test ./... >/dev/null); then
    echo "lint: $module/go.mod does not follow the dependencies: run 'go list -mod=mod -deps -test ./...' there and commit" >&2
    exit 1
  fi
done
fingerprint() { find api deploy -type f -exec sha256sum {} + | sort | sha256sum; }
before=$(fingerprint)
sh hack/generate.sh
if [ "$before" != "$(fingerprint)" ]; then
  echo "lint: generated files below api or deploy were not up to date; they are now: commit them" >&2
  exit 1
fi
echo "lint: ok"
