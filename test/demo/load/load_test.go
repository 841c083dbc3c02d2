package load

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// fakeKV is a kv engine of version 2 as far as the load uses it, that can be
// told to die and to forget.
type fakeKV struct {
	mu       sync.Mutex
	versions map[string][]map[string]any
	left     int  // writes that are answered; then none is
	lastLand bool // unanswered writes happen all the same
}

func (f *fakeKV) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/v1/secret/data/")
	if r.Method == http.MethodPut {
		var body struct{ Data map[string]any }
		_ = json.NewDecoder(r.Body).Decode(&body)
		f.left--
		if f.left >= 0 || f.lastLand {
			f.versions[key] = append(f.versions[key], body.Data)
		}
		if f.left < 0 {
			panic(http.ErrAbortHandler)
		}
		answer(w, map[string]any{"version": len(f.versions[key])})
		return
	}
	all := f.versions[key]
	if len(all) == 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[]}`)
		return
	}
	answer(w, map[string]any{"data": all[len(all)-1], "metadata": map[string]any{"version": len(all)}})
}

func answer(w http.ResponseWriter, data map[string]any) {
	// The client reads versions as json.Number and wants a created_time.
	if m, ok := data["metadata"].(map[string]any); ok {
		m["created_time"] = "2026-01-01T00:00:00Z"
	} else {
		data["created_time"] = "2026-01-01T00:00:00Z"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func loaded(t *testing.T, f *fakeKV) *Load {
	t.Helper()
	f.versions = map[string][]map[string]any{}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	client, err := vault.NewClient(&vault.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), Config{
		Client: client, Mount: "secret", Folder: "load", Writers: 3, Keys: 4,
		Value: func(key string, version int) string { return fmt.Sprint("of ", key, " ", version) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

func TestNothingLost(t *testing.T) {
	for name, f := range map[string]*fakeKV{
		"unanswered writes did not happen": {left: 100},
		"unanswered writes happened":       {left: 100, lastLand: true},
		"killed before the second round":   {left: 7, lastLand: true},
		"killed at once":                   {left: 0},
	} {
		want := f.left
		l := loaded(t, f)
		for _, err := range l.Wait() {
			if err == nil {
				t.Errorf("%s: a writer ended without an error", name)
			}
		}
		if got := l.Acknowledged(); got != want {
			t.Errorf("%s: %d acknowledged, want %d", name, got, want)
		}
		c, err := l.Verify(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (c.Keys == 0) != (want == 0) || c.Keys > min(want, 12) {
			t.Errorf("%s: %d of 12 keys with %d writes", name, c.Keys, want)
		}
		if f.lastLand && c.Ahead == 0 {
			t.Errorf("%s: unanswered writes were not noticed", name)
		}
	}
}

// Guards against a verification that cannot fail.
func TestLossIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(all []map[string]any) []map[string]any
		want string
	}{
		"version lost":   {func(all []map[string]any) []map[string]any { return all[:len(all)-1] }, "is lost"},
		"key lost":       {func([]map[string]any) []map[string]any { return nil }, "acknowledged version"},
		"value changed":  {func(all []map[string]any) []map[string]any { all[len(all)-1][field] = "x"; return all }, "does not hold"},
		"half a write":   {func(all []map[string]any) []map[string]any { delete(all[len(all)-1], field); return all }, "does not hold"},
		"version forged": {func(all []map[string]any) []map[string]any { return append(all, all[0], all[0]) }, "nobody wrote"},
	} {
		f := &fakeKV{left: 100}
		l := loaded(t, f)
		l.Wait()
		f.versions["load/1/2"] = c.harm(f.versions["load/1/2"])
		_, err := l.Verify(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "load/1/2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
