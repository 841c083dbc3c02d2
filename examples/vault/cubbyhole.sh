#!/bin/sh
# A place that belongs to one token: nobody else reads it, not even root, and it
# goes with the token. Needs VAULT_ADDR, VAULT_TOKEN and, with TLS of its own,
# VAULT_CACERT.
set -eu

mine=$(strongkeep token create -policy=default -ttl=1h -field=token)
printf 'for my eyes' | VAULT_TOKEN=$mine strongkeep write cubbyhole/note text=-
[ "$(VAULT_TOKEN=$mine strongkeep read -field=text cubbyhole/note)" = 'for my eyes' ]
if strongkeep read cubbyhole/note 2>/dev/null; then
  echo "another token reads it" >&2
  exit 1
fi

# What wrapping is for: whoever gets this token can open the answer once, and
# whoever finds it opened knows that somebody else was there.
wrapped=$(strongkeep token create -policy=default -ttl=1h -wrap-ttl=5m -field=wrapping_token)
inner=$(strongkeep unwrap -field=token "$wrapped")
VAULT_TOKEN=$inner strongkeep token lookup
if strongkeep unwrap "$wrapped" 2>/dev/null; then
  echo "it was opened twice" >&2
  exit 1
fi

VAULT_TOKEN=$mine strongkeep token revoke -self
echo 'cubbyhole works'
