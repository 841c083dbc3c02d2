package acr

import (
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Whatever a registry answers, a token that ends comes of it, or an error without a
// word of it.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"refresh_token":"e30.eyJleHAiOjE4MDAwMDAwMDB9.x"}`))
	f.Add([]byte(`{"access_token":"e30.eyJleHAiOjFlMzAwfQ.x"}`))
	f.Add([]byte(`{"access_token":7}`))
	now := time.Unix(1_800_000_000-3600, 0)
	f.Fuzz(func(t *testing.T, text []byte) {
		token, err := tokenOf("asking", text)
		if err != nil {
			if len(text) > 40 && strings.Contains(err.Error(), string(text)) {
				t.Fatal("the error tells what came")
			}
			return
		}
		if end := ends(token, now); token.Empty() || !end.After(now) || end.After(now.Add(24*time.Hour)) {
			t.Fatalf("it ends %s", end)
		}
	})
}

func TestEnds(t *testing.T) {
	now := time.Unix(1_800_000_000-3600, 0)
	for text, want := range map[string]time.Duration{
		"e30.eyJleHAiOjE4MDAwMDE4MDB9.x": 90 * time.Minute, // {"exp":1800001800}
		"e30.eyJleHAiOjF9.x":             life,             // long ago
		"e30.eyJleHAiOjFlMzAwfQ.x":       life,             // never
		"e30.!.x":                        life,
		"opaque":                         life,
	} {
		if got := ends(redact.FromString(text), now); got.Sub(now) != want {
			t.Errorf("%s: in %s, want %s", text, got.Sub(now), want)
		}
	}
}

// What becomes part of a request is such as registries know.
func FuzzScope(f *testing.F) {
	f.Add("repository:shop/app:pull,push registry:catalog:*")
	f.Add("repository:app:pull&x=y")
	f.Fuzz(func(t *testing.T, scope string) {
		if scopes.MatchString(scope) && (strings.ContainsAny(scope, "&=\n\r\t%") || len(strings.Fields(scope)) == 0) {
			t.Fatalf("%q", scope)
		}
	})
}
