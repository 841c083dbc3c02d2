package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChecksAreDocumented: each check has a page of its name with what a reader looks
// for, and a row in the table; they are in order, each once.
func TestChecksAreDocumented(t *testing.T) {
	const docs = "../../docs/checks"
	table, err := os.ReadFile(filepath.Join(docs, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	before := ""
	for _, c := range Checks() {
		if c.ID <= before {
			t.Errorf("%s comes after %s", c.ID, before)
		}
		before = c.ID
		page, err := os.ReadFile(filepath.Join(docs, c.ID+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.HasPrefix(string(page), "# "+c.ID+": ") {
			t.Errorf("the page of %s is not headed by it", c.ID)
		}
		for _, part := range []string{"**What.**", "**Why.**", "**Evidence", "**Fix.**", "**How it can be wrong.**"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("the page of %s has no %s", c.ID, part)
			}
		}
		if !strings.Contains(string(table), "["+c.ID+"]("+c.ID+".md)") {
			t.Errorf("the table has no row of %s", c.ID)
		}
	}
}
