#!/bin/sh
# A name and a password (docs/auth/userpass.md). Needs VAULT_ADDR, VAULT_TOKEN of
# an administrator and, with TLS of its own, VAULT_CACERT.
set -eu

strongkeep auth enable -path=people-example userpass
strongkeep auth tune -user-lockout-threshold=3 -user-lockout-duration=15m people-example/
printf 'correct horse battery staple' | strongkeep write auth/people-example/users/ann password=- token_policies=default
token=$(printf 'correct horse battery staple' | strongkeep write -field=token auth/people-example/login/ann password=-)
VAULT_TOKEN=$token strongkeep token lookup

# Three wrong passwords lock her out, the right one too, until somebody helps.
for _ in 1 2 3; do
  printf 'wrong' | strongkeep write auth/people-example/login/ann password=- 2>/dev/null && exit 1
done
if printf 'correct horse battery staple' | strongkeep write auth/people-example/login/ann password=- 2>/dev/null; then
  echo "not locked out" >&2
  exit 1
fi
strongkeep read sys/locked-users
accessor=$(strongkeep read -field=accessor sys/auth/people-example)
strongkeep write -f "sys/locked-users/$accessor/unlock/ann"
printf 'correct horse battery staple' | strongkeep write auth/people-example/login/ann password=- >/dev/null

strongkeep auth disable people-example
echo 'userpass works'
