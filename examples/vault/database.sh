#!/bin/sh
# Users of a PostgreSQL that come and go. Needs VAULT_ADDR, VAULT_TOKEN of an
# administrator and, with TLS of its own, VAULT_CACERT; and where the database is,
# in PGADDRESS (host:port), with a user who may make others in PGUSER, PGPASSWORD.
set -eu

strongkeep secrets enable -path=database-example database

# Where the database is. The vault logs in before it stores this.
printf %s "$PGPASSWORD" | strongkeep write database-example/config/orders \
  plugin_name=postgresql-database-plugin \
  connection_url="postgresql://{{username}}:{{password}}@$PGADDRESS/postgres?sslmode=disable" \
  username="$PGUSER" password=- allowed_roles='orders-*' password_authentication=scram-sha-256

# A user for an hour at a time, and for a day at most.
strongkeep write database-example/roles/orders-ro db_name=orders default_ttl=1h max_ttl=24h \
  creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT pg_read_all_data TO \"{{name}}\""

# What an application is allowed to do, and does.
strongkeep policy write orders-app - <<'POLICY'
path "database-example/creds/orders-ro" { capabilities = ["read"] }
POLICY
user=$(strongkeep read -field=username database-example/creds/orders-ro)
case $user in v-*orders-r*) ;; *) echo "an odd name: $user" >&2; exit 1 ;; esac

# A user that is there: the vault takes it over and changes its password on
# Saturdays between 3 and 5 in the night (UTC), and whenever it is asked to.
strongkeep write database-example/static-roles/orders-batch db_name=orders username="$user" \
  rotation_schedule='0 3 * * SAT' rotation_window=2h
before=$(strongkeep read -field=password database-example/static-creds/orders-batch)
strongkeep write -force database-example/rotate-role/orders-batch
after=$(strongkeep read -field=password database-example/static-creds/orders-batch)
[ "$before" != "$after" ]

# Disabling the engine removes all users that have a lease.
strongkeep secrets disable database-example
echo 'database works'
