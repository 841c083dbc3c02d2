#!/bin/sh
# Entities, groups and templated policies (docs/auth/identity.md). Needs VAULT_ADDR and VAULT_TOKEN,
# and a kv version 2 at secret/.
set -eu

strongkeep policy write own - <<'POLICY'
path "secret/data/{{identity.entity.name}}/*" { capabilities = ["create", "read", "update"] }
POLICY
strongkeep policy write team-red - <<'POLICY'
path "secret/data/team/{{identity.entity.metadata.team}}" { capabilities = ["read"] }
POLICY

strongkeep auth enable -path=people userpass
printf 'correct horse battery staple' | strongkeep write auth/people/users/ann password=- token_policies=own
accessor=$(strongkeep read -field=accessor sys/auth/people)

id=$(strongkeep write -field=id identity/entity name=ann metadata=team=red)
strongkeep write identity/entity-alias name=ann canonical_id="$id" mount_accessor="$accessor"
strongkeep write identity/group name=red policies=team-red member_entity_ids="$id"

strongkeep kv put -mount=secret team/red motto=together
ann=$(printf 'correct horse battery staple' | strongkeep write -field=token auth/people/login/ann password=-)
VAULT_TOKEN=$ann strongkeep kv put -mount=secret ann/notes mine=yes
VAULT_TOKEN=$ann strongkeep kv get -field=motto -mount=secret team/red

# What is taken away is gone at once, for her token too.
strongkeep write identity/group name=red member_entity_ids=
if VAULT_TOKEN=$ann strongkeep kv get -mount=secret team/red 2>/dev/null; then
  echo "still allowed" >&2
  exit 1
fi
