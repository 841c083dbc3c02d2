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
# Two packages at a time are right for two cores. "make lint" vets, and more.
set -- -count=1 -timeout 30m -p 2 -vet=off "$@"
race=()
if [ "${CI:-}" = true ]; then
  race=(-race)
  set -- -race "$@"
fi
# Every program of a race build sleeps a second at its end for others' reports;
# the tests of this repository end what they began.
export GORACE="atexit_sleep_ms=20 ${GORACE:-}"
if [ "${*: -1}" != ./... ]; then
  exec go test "$@"
fi
flags=("${@:1:$#-1}")
# Kubernetes' own authorizer, in a module of its own; -trimpath as the cluster is
# built, so that it is compiled once.
(cd test/rbac && go test -trimpath -count=1 ./...)
# These wait far more than they compute (an API server looks for another configuration
# once a minute), so they run beside all others, the longest one first, and tell at the end.
beside=(./test/encryption ./test/rotation ./internal/kube/operator/rotation ./internal/kube/operator)
mapfile -t others < <(go list ./... | grep -vxF "$(go list "${beside[@]}")")
# Compiled before both begin: they would compile the same, each for itself.
go list -export -deps -test "${race[@]}" "${beside[@]}" >/dev/null
log=$(mktemp)
set -m # a process group of its own, to be ended with all it started
go test "${flags[@]}" "${beside[@]}" >"$log" 2>&1 &
job=$!
set +m
trap 'kill -INT -- "-$job" 2>/dev/null || true; rm -f "$log"' EXIT
code=0
go test "${flags[@]}" "${others[@]}" || code=$?
wait "$job" || code=$?
cat "$log"
exit "$code"
