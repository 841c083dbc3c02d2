#!/bin/sh
# Encryption and signatures without holding a key. Needs VAULT_ADDR, VAULT_TOKEN
# of an administrator and, with TLS of its own, VAULT_CACERT.
set -eu

strongkeep secrets enable -path=transit-example transit

# A key that makes a new version of itself each month, and a policy that lets an
# application encrypt and decrypt, and nothing else.
strongkeep write transit-example/keys/orders auto_rotate_period=720h
strongkeep policy write orders-app - <<'POLICY'
path "transit-example/encrypt/orders" { capabilities = ["update"] }
path "transit-example/decrypt/orders" { capabilities = ["update"] }
POLICY

# Plaintexts go in and come out in base64. Associated data is not secret; it
# binds a ciphertext to its place, so that it cannot be moved to another row.
row=$(printf 'orders/4711' | base64)
ciphertext=$(strongkeep write -field=ciphertext transit-example/encrypt/orders plaintext="$(printf '4111 1111 1111 1111' | base64)" associated_data="$row")
echo "stored: $ciphertext"

# A new version of the key: what is there still decrypts, and is brought up to
# date without being shown to whoever does it.
strongkeep write -force transit-example/keys/orders/rotate
ciphertext=$(strongkeep write -field=ciphertext transit-example/rewrap/orders ciphertext="$ciphertext" associated_data="$row")
case $ciphertext in vault:v2:*) ;; *) echo "not rewrapped: $ciphertext" >&2; exit 1 ;; esac
plaintext=$(strongkeep write -field=plaintext transit-example/decrypt/orders ciphertext="$ciphertext" associated_data="$row" | base64 -d)
[ "$plaintext" = '4111 1111 1111 1111' ]

# Files of any size: a data key encrypts them where they are; its wrapped form
# lies beside them.
strongkeep write -force -field=ciphertext transit-example/datakey/wrapped/orders

# Signatures, for JSON Web Tokens for example.
strongkeep write transit-example/keys/tokens type=ecdsa-p256
input=$(printf 'header.payload' | base64)
signature=$(strongkeep write -field=signature transit-example/sign/tokens input="$input" marshaling_algorithm=jws)
valid=$(strongkeep write -field=valid transit-example/verify/tokens input="$input" marshaling_algorithm=jws signature="$signature")
[ "$valid" = true ]

strongkeep secrets disable transit-example
echo 'transit works'
