package azurekms

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// SetClock gives a key another clock.
func SetClock(k keystore.Versioned, now func() time.Time) { k.(*Key).login.now = now }

// Unpack reads a blob, and gives what it is made of again.
func Unpack(blob []byte) (version string, again []byte, err error) {
	h, sealed, err := unpack(blob)
	if err != nil {
		return "", nil, err
	}
	return h.version, append(h.append(nil), sealed...), nil
}

// SignIn asks for a token as the SDK does when its own is near its end.
func SignIn(ctx context.Context, k keystore.Versioned) error {
	l := k.(*Key).login
	_, err := l.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{l.scope()}})
	return err
}
