package repo

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

// FuzzFind looks at any text: it ends, and what it finds is at a line that there is.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"kind: Secret\napiVersion: v1\ndata: {a: aHVudGVyMi1odW50ZXIy}\n", `{"kind":"List","items":[{"kind":"Secret","stringData":{"a":"hunter2-hunter2"}}]}`, "a://b:cdefgh@i\n---\n---\n", "-----BEGIN PRIVATE KEY-----", "x: \"two words\"", "a: &a [*a]\nkind: List\nitems: *a\n"} {
		f.Add([]byte(s))
	}
	k, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	live := map[fingerprint.Print]bool{k.Of([]byte("hunter2-hunter2")): true}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := newScanner(Config{Key: k, Live: live})
		if err != nil {
			t.Fatal(err)
		}
		all, _ := s.worker().find(text)
		for _, found := range all {
			raw, err := json.Marshal(found.value)
			if err != nil || strings.Contains(string(raw), "hunter2-hunter2") {
				t.Errorf("%v: %s", err, raw)
			}
			if found.line < 1 || found.line > 1+strings.Count(string(text), "\n") {
				t.Errorf("line %d of %q", found.line, text)
			}
		}
	})
}
