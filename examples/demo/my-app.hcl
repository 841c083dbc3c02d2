# What the application my-app may do. Versions of the kv engine's API stand in the
# path: data/ holds values, metadata/ their versions.
path "secret/data/my-app/*" {
  capabilities = ["read"]
}

path "secret/metadata/my-app/*" {
  capabilities = ["read", "list"]
}

# Hear of changes at once. An event is sent only for what the token may read.
path "sys/events/subscribe/kv-v2/*" {
  capabilities = ["read"]
}
