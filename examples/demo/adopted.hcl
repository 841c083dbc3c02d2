# What the store of adopted credentials may do.
path "secret/data/adopted/*" {
  capabilities = ["read"]
}

path "secret/metadata/adopted/*" {
  capabilities = ["read"]
}

path "sys/events/subscribe/kv-v2/*" {
  capabilities = ["read"]
}
