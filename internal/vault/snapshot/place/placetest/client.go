package placetest

import (
	"net/http"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
)

// Client is one of the product's, which ends with the test.
func Client(t testing.TB) *http.Client {
	t.Helper()
	c, err := bucket.Client("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
