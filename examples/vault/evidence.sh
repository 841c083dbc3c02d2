#!/bin/sh
# Statements that nobody can change, root included: signed, in a chain, and
# verified without the vault. Needs VAULT_ADDR, VAULT_TOKEN and, with TLS of its
# own, VAULT_CACERT.
set -eu

strongkeep secrets enable evidence
trap 'strongkeep secrets disable evidence' EXIT

# A Rotation writes these by itself; anything else may, too.
strongkeep write evidence/statements/shop/db turn=1 statement='{"version":"1","pods":3}'
strongkeep write evidence/statements/shop/db turn=2 statement='{"version":"2","pods":3}'

# The same again is the same; anything else of that turn is refused.
strongkeep write evidence/statements/shop/db turn=2 statement='{"version":"2","pods":3}'
if strongkeep write evidence/statements/shop/db turn=2 statement='{"version":"9"}' 2>/dev/null; then
  echo "a statement was replaced" >&2
  exit 1
fi
if strongkeep delete evidence/statements/shop/db 2>/dev/null; then
  echo "a statement was deleted" >&2
  exit 1
fi

strongkeep list evidence/statements/shop/db
strongkeep read -format=json evidence/statements/shop/db/1
[ "$(strongkeep read -field=seq evidence/statements/shop/db)" = 2 ]

# What an auditor keeps.
strongkeep read -field=public_keys evidence/keys
strongkeep write -f evidence/keys/rotate
echo 'evidence works'
