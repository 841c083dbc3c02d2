package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

const operations = "../../docs/operations/"

// anchors are the headings of a page, as links name them.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Error(err)
	}
	all := map[string]bool{"": true}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

// Who is woken at night follows links that lead somewhere, from a first page that knows all others.
func TestOperationsPagesLead(t *testing.T) {
	pages, err := filepath.Glob(operations + "*.md")
	if err != nil || len(pages) < 8 {
		t.Fatal(pages, err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to := page
			if m[1] != "" {
				to = filepath.Join(operations, m[1])
			}
			if _, err := os.Stat(to); err != nil || strings.HasSuffix(to, ".md") && !anchors(t, to)[m[2]] {
				t.Errorf("%s: the link %s leads nowhere (%v)", filepath.Base(page), m[0], err)
			}
		}
	}
	first, err := os.ReadFile(operations + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(string(first), "("+name) {
			t.Errorf("the first page does not lead to %s", name)
		}
	}
}

// The commands that the first page names are there.
func TestOperationsCommands(t *testing.T) {
	first, err := os.ReadFile(operations + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`strongkeep ([a-z]+(?: [a-z-]+)*)[` ]").FindAllStringSubmatch(string(first), -1)
	if len(named) < 10 {
		t.Fatalf("%d commands", len(named))
	}
	for _, m := range named {
		var out bytes.Buffer
		args := append(strings.Fields(m[1]), "--help")
		env := session.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
		if code := cli.Main(args, env); code != 0 || !strings.Contains(out.String(), "strongkeep "+m[1]) {
			t.Errorf("strongkeep %s: %d\n%s", m[1], code, out.String())
		}
	}
}
