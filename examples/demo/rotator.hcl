# What the Rotation's store may do: turn the credential, and record what happened.
path "database/alternating-creds/shop" {
  capabilities = ["read"]
}

path "database/alternating-roles/shop/*" {
  capabilities = ["create", "read", "update"]
}

# Of its own chain only: who may create statements elsewhere can have anything signed there.
path "evidence/statements/shop/db" {
  capabilities = ["create"]
}

path "evidence/statements/shop/db/*" {
  capabilities = ["read"]
}
