package awskms

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// SetClock gives the login of a key another clock.
func SetClock(k keystore.Versioned, now func() time.Time) { k.(*Key).login.now = now }

// ParseCredentials reads a file of credentials.
var ParseCredentials = parseCredentials

// Unpack reads a blob.
func Unpack(blob []byte) (version string, ciphertext []byte, err error) {
	v, ciphertext, err := unpack(blob)
	return v.String(), ciphertext, err
}

// Pack makes a blob.
func Pack(id string, ciphertext []byte) ([]byte, error) {
	v, err := parseVersion(id)
	if err != nil {
		return nil, err
	}
	return pack(v, ciphertext), nil
}
