#!/bin/sh
# A login by client certificate, here of a SPIFFE workload (docs/auth/cert.md).
# Needs a server with TLS of its own: VAULT_ADDR, VAULT_CACERT, and VAULT_TOKEN of
# an administrator.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Any authority will do; this one is of our own engine.
strongkeep secrets enable -path=workloads-example -max-lease-ttl=8760h pki
strongkeep write -field=certificate workloads-example/root/generate/internal common_name='workloads' ttl=8760h > "$dir/ca.pem"
strongkeep write workloads-example/roles/web allowed_uri_sans='spiffe://example.org/*' allow_any_name=false \
    require_cn=false key_type=ec key_bits=256 max_ttl=24h
strongkeep write -format=json workloads-example/issue/web uri_sans=spiffe://example.org/ns/shop/sa/web ttl=1h > "$dir/issued.json"
pem() { sed -n "s/^ *\"$1\": *\"\(.*\)\",*\$/\1/p" "$dir/issued.json" | sed 's/\\n/\
/g'; }
pem certificate > "$dir/web.pem"
(umask 077 && pem private_key > "$dir/web-key.pem")

strongkeep auth enable -path=cert-example cert
strongkeep write auth/cert-example/certs/web certificate=@"$dir/ca.pem" \
    allowed_uri_sans='spiffe://example.org/ns/shop/*' token_policies=default
strongkeep write auth/cert-example/certs/other certificate=@"$dir/ca.pem" \
    allowed_uri_sans='spiffe://example.org/ns/other/*' token_policies=default

token=$(strongkeep write -client-cert="$dir/web.pem" -client-key="$dir/web-key.pem" -field=token auth/cert-example/login name=web)
VAULT_TOKEN=$token strongkeep token lookup
if strongkeep write -client-cert="$dir/web.pem" -client-key="$dir/web-key.pem" auth/cert-example/login name=other 2>/dev/null; then
  echo "another namespace's role let it in" >&2
  exit 1
fi

strongkeep auth disable cert-example
strongkeep secrets disable workloads-example
echo 'cert works'
