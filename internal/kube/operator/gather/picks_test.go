package gather

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// A store that picks is told each property, and its answer is that; others are read
// once for all properties.
func TestPicks(t *testing.T) {
	es := parse(t, `data:
- {secretKey: a, remoteRef: {key: x, property: p}}
- {secretKey: b, remoteRef: {key: x, property: q}}
- {secretKey: c, remoteRef: {key: x}}
- {secretKey: d, remoteRef: {key: x, property: p}, sourceRef: {storeRef: {name: other}}}
- {secretKey: e, remoteRef: {key: x, property: q}, sourceRef: {storeRef: {name: other}}}
dataFrom:
- {extract: {key: x, property: object}}`)
	var mu sync.Mutex
	var asked []string
	got, err := Values(t.Context(), es, Source{
		Now:   time.Now,
		Picks: func(_ context.Context, ref v1.SecretStoreRef) bool { return ref.Name == "main" },
		Read: func(_ context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, ref.Name+"/"+req.Property)
			switch {
			case ref.Name == "other":
				return provider.Value{Data: redact.FromString(`{"p":"1","q":"2"}`), Version: "7"}, nil
			case req.Property == "object":
				return provider.Value{Data: redact.FromString(`{"f":"6"}`), Picked: true}, nil
			case req.Property == "":
				return provider.Value{Data: redact.FromString("all"), Version: "8"}, nil
			}
			return provider.Value{Data: redact.FromString("picked " + req.Property), Picked: true, Version: "9"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": "picked p", "b": "picked q", "c": "all", "d": "1", "e": "2", "f": "6"} {
		if got.Data[key].RevealString() != want {
			t.Errorf("%s: %q, want %q", key, got.Data[key].Reveal(), want)
		}
	}
	slices.Sort(asked)
	if list := strings.Join(asked, " "); list != "main/ main/object main/p main/q other/" {
		t.Error(list)
	}
	for w := range got.Versions {
		if w.Property != "" {
			t.Errorf("a version of a part: %+v", w)
		}
	}
	if len(got.Versions) != 2 {
		t.Errorf("%d versions", len(got.Versions))
	}
}

// Parts that are bytes come as they are; as one value they are refused.
func TestBytes(t *testing.T) {
	source := Source{Now: time.Now, Read: func(context.Context, v1.SecretStoreRef, provider.Request) (provider.Value, error) {
		return provider.Value{Parts: map[string]redact.Secret{"jks": redact.FromString("\xfe\xed"), "user": redact.FromString("app")}}, nil
	}, Find: func(context.Context, v1.SecretStoreRef, provider.Query) ([]provider.Found, time.Time, error) {
		return []provider.Found{{Key: "x"}}, time.Now(), nil
	}}
	got, err := Values(t.Context(), parse(t, "dataFrom: [{extract: {key: x}}]\ndata: [{secretKey: one, remoteRef: {key: x, property: jks}}]"), source)
	if err != nil || got.Data["jks"].RevealString() != "\xfe\xed" || got.Data["one"].RevealString() != "\xfe\xed" || len(got.Data) != 3 {
		t.Errorf("%d keys, %v", len(got.Data), err)
	}
	for _, spec := range []string{"data: [{secretKey: all, remoteRef: {key: x}}]", "dataFrom: [{find: {name: {regexp: x}}}]"} {
		if _, err := Values(t.Context(), parse(t, spec), source); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `"jks" is not text`) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
