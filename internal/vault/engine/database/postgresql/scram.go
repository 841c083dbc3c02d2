package postgresql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// What PostgreSQL itself uses.
const (
	scramRounds = 4096
	scramSalt   = 16
)

// verifier computes what PostgreSQL stores for SCRAM-SHA-256 (RFC 5802, RFC
// 7677; the form is that of pg_authid.rolpassword). With it one can check a
// password and not log in. Normalising (SASLprep) leaves printable ASCII as it
// is; nothing else is taken.
func verifier(password redact.Secret) (string, error) {
	text := password.RevealString()
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return "", errs.New(errs.Invalid, "password_authentication=scram-sha-256 needs passwords of printable ASCII: change the password policy")
		}
	}
	salt := make([]byte, scramSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return scramSHA256(text, salt)
}

func scramSHA256(password string, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramRounds, sha256.Size)
	if err != nil {
		return "", errs.Newf(errs.Internal, "hashing a password: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramRounds, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
