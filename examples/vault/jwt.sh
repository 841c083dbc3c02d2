#!/bin/sh
# A login by a JWT that somebody else signed (docs/auth/jwt.md). Needs VAULT_ADDR,
# VAULT_TOKEN of an administrator and, with TLS of its own, VAULT_CACERT.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The issuer: outside of examples it is GitHub, GitLab, SPIRE or a cluster. Here
# our own transit engine signs, and only its public key is known to the method.
strongkeep secrets enable -path=issuer-example transit
strongkeep write issuer-example/keys/ci type=ecdsa-p256
strongkeep read -format=json issuer-example/keys/ci |
  sed -n 's/^ *"public_key": *"\(.*\)",*$/\1/p' | sed 's/\\n/\
/g' > "$dir/ci.pem"
base64url() { base64 | tr -d '\n=' | tr '+/' '-_'; }
now=$(date +%s)
header=$(printf '{"alg":"ES256","typ":"JWT"}' | base64url)
claims=$(printf '{"iss":"https://ci.example.org","aud":"strongkeep","sub":"repo:shop/web:ref:refs/heads/main","repository":"shop/web","iat":%d,"exp":%d}' "$now" $((now + 300)) | base64url)
signature=$(strongkeep write -field=signature issuer-example/sign/ci marshaling_algorithm=jws \
    input="$(printf '%s.%s' "$header" "$claims" | base64 | tr -d '\n')")
jwt=$header.$claims.${signature##*:}

strongkeep auth enable -path=ci-example jwt
strongkeep write auth/ci-example/config jwt_validation_pubkeys=@"$dir/ci.pem" bound_issuer=https://ci.example.org
strongkeep write auth/ci-example/role/deploy role_type=jwt user_claim=repository bound_audiences=strongkeep \
    bound_claims_type=glob bound_claims='{"sub":"repo:shop/*:ref:refs/heads/main"}' token_policies=default token_ttl=10m
strongkeep write auth/ci-example/role/release role_type=jwt user_claim=repository bound_audiences=strongkeep \
    bound_claims='{"sub":"repo:shop/web:ref:refs/tags/v1"}' token_policies=default

token=$(printf %s "$jwt" | strongkeep write -field=token auth/ci-example/login role=deploy jwt=-)
VAULT_TOKEN=$token strongkeep token lookup
if printf %s "$jwt" | strongkeep write auth/ci-example/login role=release jwt=- 2>/dev/null; then
  echo "a branch released" >&2
  exit 1
fi

strongkeep auth disable ci-example
strongkeep secrets disable issuer-example
echo 'jwt works'
