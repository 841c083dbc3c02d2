# What the Rotation's store may do: turn the credential, and record what happened.
path "database/alternating-creds/shop" {
  capabilities = ["read"]
}

path "database/alternating-roles/shop/*" {
  capabilities = ["create", "read", "update"]
}

path "evidence/statements/*" {
  capabilities = ["create", "read"]
}
