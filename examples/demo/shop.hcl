# What the application's store may do: read the credential that is published now.
path "database/alternating-creds/shop" {
  capabilities = ["read"]
}

path "sys/events/subscribe/database/*" {
  capabilities = ["read"]
}
