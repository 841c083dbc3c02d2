#!/bin/sh
# Tokens: made by a role, looked up, renewed, revoked with their children. Needs
# VAULT_ADDR, VAULT_TOKEN of an administrator and, with TLS of its own, VAULT_CACERT.
set -eu

strongkeep policy write token-example - <<'POLICY'
path "auth/token/create/token-example" { capabilities = ["create", "update"] }
POLICY

# Whoever may use the role makes tokens of its policies and no others, bound to
# an address range and renewed for as long as they are used.
strongkeep write auth/token/roles/token-example allowed_policies=default \
    token_period=1h token_bound_cidrs=127.0.0.0/8,::1 renewable=true
maker=$(strongkeep token create -policy=token-example -ttl=1h -field=token)
token=$(VAULT_TOKEN=$maker strongkeep token create -role=token-example -policy=default -field=token)
VAULT_TOKEN=$token strongkeep token lookup
VAULT_TOKEN=$token strongkeep token renew
if VAULT_TOKEN=$maker strongkeep token create -role=token-example -policy=root 2>/dev/null; then
  echo "a role gave more than it may" >&2
  exit 1
fi

# A batch token is stored nowhere and cannot be revoked by itself: short-lived
# crowds do not cost a write each.
batch=$(strongkeep token create -type=batch -policy=default -ttl=10m -field=token)
VAULT_TOKEN=$batch strongkeep token lookup

# An accessor is good for revoking a token that one does not hold; what the
# token made goes with it.
child=$(VAULT_TOKEN=$(strongkeep token create -policy=root -ttl=1h -field=token) strongkeep token create -policy=default -field=token)
accessor=$(VAULT_TOKEN=$child strongkeep token lookup -field=accessor)
strongkeep token revoke -accessor "$accessor"
if VAULT_TOKEN=$child strongkeep token lookup 2>/dev/null; then
  echo "still valid" >&2
  exit 1
fi

strongkeep delete auth/token/roles/token-example
echo 'token works'
