package transit

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// SetClock gives a key another clock.
func SetClock(k keystore.Versioned, now func() time.Time) { k.(*Key).now = now }

// Token is the one that a key has logged in with.
func Token(k keystore.Versioned) string { return k.(*Key).login.Load().client.Token() }

// Pack and Unpack are the form of blobs.
var (
	Pack   = pack
	Unpack = unpack
)
