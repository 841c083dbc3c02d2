#!/usr/bin/env bash
# Builds strongkeep-pkcs11, which loads PKCS#11 modules and so needs cgo, as the file given.
# Without a C compiler there is none, which is said and no failure: only the key store
# pkcs11 needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
compiler=$(go env CC)
if [ "$(go env GOOS)" != linux ] || ! command -v "${compiler%% *}" >/dev/null; then
  echo "build: $1 is not built: it takes Linux and a C compiler ($compiler); without it there is no key store pkcs11" >&2
  rm -f "$1"
  exit 0
fi
CGO_ENABLED=1 exec go build -trimpath -ldflags '-s -w' -o "$1" ./cmd/strongkeep-pkcs11
