package page_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/test/encryption/page"
)

func TestCommands(t *testing.T) {
	text := "Run `strongkeep x`:\n\n```\nstrongkeep a   -b \\\n  -c=\"$(strongkeep kms)\" > file\nother\n```\n\n1. x\n\n   ```sh\n   strongkeep d\n   ```\n"
	if got := page.Commands(text); !slices.Equal(got, []string{`a -b -c="$(strongkeep kms)"`, "d"}) {
		t.Errorf("%q", got)
	}
}

// Every command of the page is run by a test of this folder, which gets it by page.Command.
func TestEveryCommandIsRun(t *testing.T) {
	place, err := page.Place()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(place)
	if err != nil {
		t.Fatal(err)
	}
	commands := page.Commands(string(text))
	if len(commands) < 15 {
		t.Errorf("the page has %d commands", len(commands))
	}
	run := regexp.MustCompile(`page\.Command\([a-z.A-Z]+, "([^"]+)"`)
	var prefixes []string
	for _, pattern := range []string{"../*_test.go", "../*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range run.FindAllSubmatch(source, -1) {
				prefixes = append(prefixes, string(m[1]))
			}
		}
	}
	for _, c := range commands {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(c, p) }) {
			t.Errorf("no test runs %q", c)
		}
	}
}
