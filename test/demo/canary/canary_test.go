package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const value = `qZ7/+"<w>&ü9!kTn0mLp`

func set() *Set {
	s := &Set{}
	s.Add("password", value)
	return s
}

func TestEveryFormIsFound(t *testing.T) {
	quoted, err := json.Marshal(map[string]string{"k": value})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"plain":       "a line with " + value + " in it",
		"hexadecimal": hex.EncodeToString([]byte(value)),
		"JSON":        string(quoted),
		"URL":         "?password=" + url.QueryEscape(value) + "&x=1",
	} {
		if found := set().Find(name, []byte(content)); len(found) == 0 {
			t.Errorf("%s: not found in %q", name, content)
		}
	}
}

// Guards against base64 being searched for at one of three alignments only.
func TestBase64IsFoundAnywhere(t *testing.T) {
	for before := range 7 {
		for after := range 4 {
			content := strings.Repeat("\xff", before) + value + strings.Repeat("\xfe", after)
			for name, e := range map[string]*base64.Encoding{
				"std": base64.StdEncoding, "raw": base64.RawStdEncoding, "url": base64.URLEncoding, "rawurl": base64.RawURLEncoding,
			} {
				if found := set().Find(name, []byte("x "+e.EncodeToString([]byte(content)))); len(found) == 0 {
					t.Errorf("%s: not found with %d bytes before and %d behind", name, before, after)
				}
			}
		}
	}
}

func TestNothingIsFoundWhereNothingIs(t *testing.T) {
	for _, content := range []string{"", value[:len(value)-1], value[1:], strings.ToLower(value)} {
		if found := set().Find("f", []byte(content)); len(found) > 0 {
			t.Errorf("in %q: %v", content, found)
		}
	}
}

func TestFindingDoesNotRepeatTheValue(t *testing.T) {
	found := set().Find("server.log", []byte("--"+value))
	if len(found) != 1 {
		t.Fatalf("findings: %v", found)
	}
	if got := found[0].String(); got != "password, as it is, is in server.log at byte 2" {
		t.Errorf("finding reads %q", got)
	}
	if strings.Contains(fmt.Sprintf("%+v", found), value) {
		t.Error("the finding holds the value")
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"a.log": "nothing", "sub/b.log": "x" + value, "empty": ""}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nonexistent", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	r, err := set().Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Files != 3 || r.Bytes != int64(len("nothing")+1+len(value)) {
		t.Errorf("searched %d files of %d bytes", r.Files, r.Bytes)
	}
	if len(r.Findings) != 1 || r.Findings[0].File != filepath.Join(dir, "sub/b.log") || r.Findings[0].At != 1 {
		t.Errorf("findings: %v", r.Findings)
	}
	if r, err := set().Tree(filepath.Join(dir, "absent")); err != nil || r.Files != 0 {
		t.Errorf("absent directory: %+v, %v", r, err)
	}
}

func TestShortValuesAreRefused(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a value that would be found by chance was accepted")
		}
	}()
	(&Set{}).Add("short", "abc")
}
