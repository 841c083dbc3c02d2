#!/bin/sh
# Secrets with versions. Needs VAULT_ADDR, VAULT_TOKEN of an administrator and,
# with TLS of its own, VAULT_CACERT.
set -eu

strongkeep secrets enable -path=kv-example -version=2 kv

# Values come from standard input or files, so that they are in no history and
# in no list of processes.
printf 's3cret-one' | strongkeep kv put -mount=kv-example shop/db username=shop password=-
printf 's3cret-two' | strongkeep kv patch -mount=kv-example shop/db password=-
[ "$(strongkeep kv get -mount=kv-example -field=username shop/db)" = shop ]
[ "$(strongkeep kv get -mount=kv-example -version=1 -field=password shop/db)" = s3cret-one ]

# Two who write at once: the second, who has not seen the first's version, is told.
if printf 'lost' | strongkeep kv put -mount=kv-example -cas=1 shop/db password=- 2>/dev/null; then
  echo "an update was lost" >&2
  exit 1
fi

# A version that was deleted comes back; one that was destroyed does not.
strongkeep kv delete -mount=kv-example shop/db
strongkeep kv undelete -mount=kv-example -versions=2 shop/db
strongkeep kv destroy -mount=kv-example -versions=1 shop/db
strongkeep kv rollback -mount=kv-example -version=2 shop/db

# What is known of a secret without its value: who may see only this reads
# kv-example/metadata/*.
strongkeep kv metadata put -mount=kv-example -max-versions=5 -delete-version-after=8760h -custom-metadata=owner=shop shop/db
strongkeep kv metadata get -mount=kv-example shop/db
strongkeep kv list -mount=kv-example shop

strongkeep secrets disable kv-example
echo 'kv works'
