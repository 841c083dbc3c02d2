package gcpkms

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// SetClock gives a key's login another clock.
func SetClock(k keystore.Versioned, now func() time.Time) { k.(*Key).login.now = now }

// Unpack reads a blob, and gives what it is made of again.
func Unpack(blob []byte) (version string, again []byte, err error) {
	v, ciphertext, err := unpack(blob)
	if err != nil {
		return "", nil, err
	}
	same, err := parseVersion(v.String())
	return v.String(), pack(same, ciphertext), err
}
