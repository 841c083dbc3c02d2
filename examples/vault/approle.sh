#!/bin/sh
# A login for machines outside of Kubernetes (docs/auth/approle.md). Needs
# VAULT_ADDR, VAULT_TOKEN of an administrator and, with TLS of its own, VAULT_CACERT.
set -eu

strongkeep auth enable -path=approle-example approle
strongkeep write auth/approle-example/role/builder token_policies=default token_ttl=20m \
    secret_id_ttl=24h secret_id_num_uses=2
role=$(strongkeep read -field=role_id auth/approle-example/role/builder/role-id)

# The secret ID travels wrapped: who brings it to the machine cannot use it
# unnoticed.
wrapped=$(strongkeep write -f -wrap-ttl=10m -field=wrapping_token auth/approle-example/role/builder/secret-id)

# On the machine:
secret=$(VAULT_TOKEN=$wrapped strongkeep unwrap -field=secret_id)
token=$(printf %s "$secret" | strongkeep write -field=token auth/approle-example/login role_id="$role" secret_id=-)
VAULT_TOKEN=$token strongkeep token lookup

# Two uses are what it is good for.
printf %s "$secret" | strongkeep write auth/approle-example/login role_id="$role" secret_id=- >/dev/null
if printf %s "$secret" | strongkeep write auth/approle-example/login role_id="$role" secret_id=- 2>/dev/null; then
  echo "used three times" >&2
  exit 1
fi

strongkeep auth disable approle-example
echo 'approle works'
