#!/bin/sh
# A certificate authority: a root, an intermediate below it that issues, and a
# certificate's life. Needs VAULT_ADDR, VAULT_TOKEN of an administrator and, with
# TLS of its own, VAULT_CACERT.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The root signs intermediates, and nothing else.
strongkeep secrets enable -path=pki-root-example -max-lease-ttl=87600h pki
strongkeep write -field=certificate pki-root-example/root/generate/internal \
  common_name='Example Root' key_type=ec ttl=87600h > "$dir/root.pem"

# The intermediate's key is made in its own mount, and stays there.
strongkeep secrets enable -path=pki-example -max-lease-ttl=43800h pki
strongkeep write -field=csr pki-example/intermediate/generate/internal \
  common_name='Example Intermediate' key_type=ec > "$dir/inter.csr"
strongkeep write -field=certificate pki-root-example/root/sign-intermediate \
  csr=@"$dir/inter.csr" common_name='Example Intermediate' max_path_length=0 ttl=43800h > "$dir/inter.pem"
# Both are brought in, so that chains are whole.
{ cat "$dir/inter.pem"; echo; cat "$dir/root.pem"; } > "$dir/chain.pem"
strongkeep write pki-example/intermediate/set-signed certificate=@"$dir/chain.pem"

# What may be issued, and who may have it.
strongkeep write pki-example/roles/web allowed_domains=example.com allow_subdomains=true key_type=ec max_ttl=720h
strongkeep policy write pki-web - <<'POLICY'
path "pki-example/issue/web" { capabilities = ["update"] }
path "pki-example/sign/web" { capabilities = ["update"] }
POLICY

serial=$(strongkeep write -field=serial_number pki-example/issue/web common_name=a.example.com ttl=24h)
echo "issued: $serial"
if strongkeep write pki-example/issue/web common_name=a.example.org 2>/dev/null; then
  echo 'a forbidden name was issued' >&2
  exit 1
fi

# Revoked: the CRL says so at once.
strongkeep write pki-example/revoke serial_number="$serial"
strongkeep list pki-example/certs/revoked

strongkeep secrets disable pki-example
strongkeep secrets disable pki-root-example
echo 'pki works'
