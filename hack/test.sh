#!/usr/bin/env bash
# Runs the tests. As root it installs what they need; otherwise it says what is
# missing and the tests that need it skip loudly. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo "test: SKIPPED without root: everything on a real node, and full disks (they mount a small file system); run as root for all" >&2
fi
programs="postgresql mariadb-server redis-server git softhsm2 gcc libc6-dev"
# shellcheck disable=SC2086 # one word per package
if ! dpkg-query -W $programs >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "test: installing $programs"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $programs >/dev/null
  else
    echo "test: SKIPPED without Debian's packages $programs: what needs a real database, Git, or a PKCS#11 token" >&2
  fi
fi
echo "test: building the real cluster's parts (the first time takes about ten minutes)"
go run ./test/cluster/cmd/cluster build
# Packages that start clusters, servers and kill them are bound by time, not by
# the processor: two at a time is right for two cores.
if [ "${CI:-}" = true ]; then
  set -- -race "$@"
fi
# Kubernetes' own authorizer, in a module of its own; -trimpath as the cluster is
# built, so that it is compiled once.
if [[ " $* " == *" ./... "* ]]; then
  (cd test/rbac && go test -trimpath -count=1 ./...)
fi
# Every program of a race build sleeps a second at its end for others' reports;
# the tests of this repository end what they began.
export GORACE="atexit_sleep_ms=20 ${GORACE:-}"
# The longest ones wait for a real node more than they compute: they begin first, so
# that the others run beside them and none is left to run alone at the end.
longest="./test/rotation ./test/encryption ./internal/kube/operator/rotation ./internal/kube/operator"
if [[ " $* " == *" ./... "* ]]; then
  # shellcheck disable=SC2086 # one word per package
  set -- "${@:1:$#-1}" $longest "${@: -1}"
fi
exec go test -count=1 -timeout 30m -p 2 "$@"
