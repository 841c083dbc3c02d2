package ciphertext

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Everything a transit engine makes is text that names the version of the key
// it was made with:
//
//	vault:v<version>:<base64>
//
// Version is decimal, from 1, without leading zeros. In a ciphertext the base64
// (RFC 4648 §4, padded) is of
//
//	nonce | encrypted | 16-byte tag     12-byte nonces; 24 for xchacha20-poly1305
//	RSA-OAEP                            of the modulus' size
//
// which is Vault's form too. Signatures and HMACs have the same front.
const prefix = "vault:v"

// Parse splits text; what names it in errors: "ciphertext", "signature", "HMAC".
// The rest aliases text. An error is Invalid and quotes nothing.
func Parse(text []byte, what string) (version int, rest []byte, err error) {
	after, ok := bytes.CutPrefix(text, []byte(prefix))
	if !ok {
		return 0, nil, errs.Newf(errs.Invalid, "invalid %s: no prefix", what)
	}
	digits, rest, ok := bytes.Cut(after, []byte(":"))
	if !ok {
		return 0, nil, errs.Newf(errs.Invalid, "invalid %s: wrong number of fields", what)
	}
	// 31 bits: no key has as many versions, and the number fits an int everywhere.
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || n == 0 || digits[0] == '0' {
		return 0, nil, errs.Newf(errs.Invalid, "invalid %s: version number could not be decoded", what)
	}
	return int(n), rest, nil
}

// AppendPrefix appends the front of what a version makes.
func AppendPrefix(dst []byte, version int) []byte {
	dst = strconv.AppendInt(append(dst, prefix...), int64(version), 10)
	return append(dst, ':')
}

// Append appends the text of raw, made with a version.
func Append(dst []byte, version int, raw []byte) []byte {
	return base64.StdEncoding.AppendEncode(AppendPrefix(dst, version), raw)
}

// TextSize is at most how many bytes Append appends for raw of n bytes.
func TextSize(n int) int { return len(prefix) + 12 + base64.StdEncoding.EncodedLen(n) }
