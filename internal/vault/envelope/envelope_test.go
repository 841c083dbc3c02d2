package envelope

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// §2.1 and §2.10: names and their order, null for what is absent. That whole
// answers are exact is tested in package server.
func TestAppendWrapped(t *testing.T) {
	w := &engine.Wrapped{
		Token: redact.FromString("hvs.t"), Accessor: "acc", TTL: 90 * time.Second, CreationPath: "kv/\"a\"",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("x", 3600)),
	}
	const begin, end = `{"request_id":"id","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":{"token":"hvs.t","accessor":"acc","ttl":90,` +
		`"creation_time":"2026-01-02T02:04:05.000006Z","creation_path":"kv/\"a\""`, `},"warnings":null,"auth":null}` + "\n"
	if got := string(Append([]byte("x"), "id", &engine.Response{Wrapped: w})); got != "x"+begin+end {
		t.Errorf("%s\nwant\n%s", got, "x"+begin+end)
	}
	w.WrappedAccessor = "inner"
	if got, want := string(Append(nil, "id", &engine.Response{Wrapped: w})), begin+`,"wrapped_accessor":"inner"`+end; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestEmpty(t *testing.T) {
	for _, c := range []struct {
		op   engine.Operation
		res  *engine.Response
		want bool
	}{
		{engine.Read, nil, true}, {engine.Read, &engine.Response{}, true},
		{engine.List, &engine.Response{Data: noKeys}, true}, {engine.Read, &engine.Response{Data: noKeys}, false},
		{engine.List, &engine.Response{Data: noKeys, Warnings: []string{"w"}}, false},
		{engine.Read, &engine.Response{Auth: &engine.Auth{}}, false}, {engine.Read, &engine.Response{Raw: &engine.Raw{}}, false},
		{engine.Read, &engine.Response{Status: 202}, false}, {engine.Read, &engine.Response{Wrapped: &engine.Wrapped{}}, false},
	} {
		if got := Empty(c.op, c.res); got != c.want {
			t.Errorf("%s %+v: %v", c.op, c.res, got)
		}
	}
}
