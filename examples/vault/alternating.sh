#!/bin/sh
# A credential of a PostgreSQL that turns while its users work: two users alternate.
# Needs VAULT_ADDR, VAULT_TOKEN of an administrator and, with TLS of its own,
# VAULT_CACERT; and where the database is, in PGADDRESS (host:port), with a user who
# may make others in PGUSER, PGPASSWORD.
set -eu

strongkeep secrets enable -path=alternating-example database
printf %s "$PGPASSWORD" | strongkeep write alternating-example/config/orders \
  plugin_name=postgresql-database-plugin \
  connection_url="postgresql://{{username}}:{{password}}@$PGADDRESS/postgres?sslmode=disable" \
  username="$PGUSER" password=- allowed_roles='orders*' password_authentication=scram-sha-256

# Two users, each made for its turn and dropped after it.
strongkeep write alternating-example/alternating-roles/orders db_name=orders usernames=orders_a,orders_b \
  creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}'; GRANT pg_read_all_data TO \"{{name}}\""

# What whoever turns it may do, and what an application may: neither needs the other's.
strongkeep policy write orders-operator - <<'POLICY'
path "alternating-example/alternating-roles/orders/+" { capabilities = ["read", "update"] }
POLICY
strongkeep policy write orders-reader - <<'POLICY'
path "alternating-example/alternating-creds/orders" { capabilities = ["read"] }
POLICY

act() { strongkeep write "alternating-example/alternating-roles/orders/$1" turn="$2" side="${3:-new}" holder=apps/orders; }
now() { strongkeep read -field="$1" alternating-example/alternating-creds/orders; }

# The first turn replaces nothing.
act stage 1; act publish 1 new; act retire 1 old
first=$(now username)

# The second: both work from here ...
act stage 2
[ "$(now version)" = 1 ]
act publish 2 new
[ "$(now version)" = 2 ] && [ "$(now username)" != "$first" ]
strongkeep read alternating-example/alternating-roles/orders/sessions turn=2
# ... until everybody has the new one. Closing can be undone, retiring cannot.
act close 2; act reopen 2; act close 2; act retire 2 old
strongkeep read alternating-example/alternating-roles/orders/state

# A third that goes back.
act stage 3; act publish 3 new; act publish 3 old; act retire 3 new
[ "$(now version)" = 2 ]

# What is left over is dropped by hand, for the vault drops no user who is in use.
now username
strongkeep delete alternating-example/alternating-roles/orders
strongkeep secrets disable alternating-example
echo 'alternating works'
