package repo

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

// FuzzFind looks at any text: it ends, and what it finds is at a line that there is.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"kind: Secret\napiVersion: v1\ndata: {a: aHVudGVyMi1odW50ZXIy}\n", `{"kind":"List","items":[{"kind":"Secret","stringData":{"a":"hunter2-hunter2"}}]}`, "a://b:cdefgh@i\n---\n---\n", "-----BEGIN PRIVATE KEY-----", "x: \"two words\"", "a: &a [*a]\nkind: List\nitems: *a\n", "\x30\x80\x02\x01\x03", "\x30\x05\x02\x01\x03\x30\x00", "\x1f\x8b\x08", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"} {
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
		all, looked := s.worker().find(text)
		if elsewhere := pointer(text); !looked && (len(all) > 0 || elsewhere && !bytes.ContainsRune(text, 0)) || closed(text) && elsewhere {
			t.Errorf("%q: looked at %v, a pointer %v", text, looked, elsewhere)
		}
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

// A large file that says the same again and again is looked at like any other.
func TestRepeated(t *testing.T) {
	for what, begin := range map[string]string{
		"a token": "AK" + "IAQ3EGZXCVBNMASDFG\n", "a login": "a://b:" + "cdefgh-17@i\n", "a key": "-----BEGIN PRIVATE KEY-----\n", "words": "xk29fq8zt1lm ", "quotes": "'\"`", "colons": "a:=", "a kind": "kind: Secret\n---\n",
	} {
		k, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		s, err := newScanner(Config{Key: k, Live: map[fingerprint.Print]bool{k.Of([]byte("hunter2-hunter2")): true}})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat(begin, 1<<20/len(begin))
		found, ok := s.worker().find([]byte(text))
		if !ok || len(found) > maxFinds {
			t.Errorf("%s: %d finds, %v", what, len(found), ok)
		}
		for _, one := range found {
			if one.line != 1 {
				t.Errorf("%s is found in line %d", what, one.line)
			}
		}
	}
}

// The line of a place is the same in whichever order places are asked about.
func TestLineAt(t *testing.T) {
	g := &gather{text: []byte("a\nb\n\nc")}
	for _, at := range []int{0, 2, 5, 6, 1, 5, 0, 3} {
		if got, want := g.lineAt(at), 1+strings.Count(string(g.text[:at]), "\n"); got != want {
			t.Errorf("%d is in line %d, not %d", at, got, want)
		}
	}
	g = &gather{text: []byte("a\nb\nc\nd")}
	before := g.lineAt(4)
	copy(g.text, "\n\n\n\n") // which is not to be gone through again
	if got := g.lineAt(7); before != 3 || got != 4 {
		t.Errorf("lines %d and %d, not 3 and 4", before, got)
	}
}
