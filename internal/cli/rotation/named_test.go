package rotation_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every `strongkeep rotation …` that a message or a condition tells
// people to run is a command.
func TestCommandsThatAreNamedExist(t *testing.T) {
	named := regexp.MustCompile(`strongkeep rotation ([a-z][a-z-]*[a-z])`)
	var help bytes.Buffer
	if code, complaint := newUser(t).into(t.Context(), &help, "rotation", "-h"); code != 0 {
		t.Fatal(complaint)
	}
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) +\S`).FindAllStringSubmatch(help.String(), -1) {
		there[m[1]] = true
	}
	seen := 0
	look := func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".md") && !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if seen++; !there[m[1]] {
				t.Errorf("%s names %q, which is no command", path, m[0])
			}
		}
		return nil
	}
	for _, dir := range []string{"internal", "api", "examples", "deploy"} {
		if err := filepath.WalkDir(filepath.Join("..", "..", "..", dir), look); err != nil {
			t.Fatal(err)
		}
	}
	if seen < 40 || len(there) < 10 {
		t.Errorf("%d commands named, %d there: the search finds nothing", seen, len(there))
	}
}

// A namespace without Rotations is said to be one; programs get an empty list.
func TestListNothing(t *testing.T) {
	u := newUser(t)
	var out bytes.Buffer
	if code, said := u.into(t.Context(), &out, "rotation", "list", "-n", "nowhere"); code != 0 || out.Len() > 0 || !strings.Contains(said, "namespace nowhere") || !strings.Contains(said, "list -A") {
		t.Errorf("exit code %d, %q, %q", code, out.String(), said)
	}
	if got := strings.TrimSpace(u.does("rotation", "list", "-n", "nowhere", "-format=json")); got != "[]" {
		t.Errorf("as JSON: %q", got)
	}
}
