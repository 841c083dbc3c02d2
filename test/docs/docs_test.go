// Package docs checks that what the documentation names is there.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// pages are the documents a reader sees first, and everything below docs/.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	add := func(path string) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(content)
	}
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil || len(top) == 0 {
		t.Fatal("no pages at the top:", err)
	}
	for _, path := range top {
		add(path)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			add(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	name = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*)`")
	decl = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*)\(`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	for page, content := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(content, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// What the program and its comments send a reader to is there.
func TestPagesNamedInCodeExist(t *testing.T) {
	page := regexp.MustCompile(`\bdocs/[A-Za-z0-9/_-]+\.md`)
	named := 0
	for _, dir := range []string{"internal", "test", "api", "cmd", "deploy", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !slices.Contains([]string{".go", ".yaml", ".service"}, filepath.Ext(path)) || strings.Contains(path, "testdata") {
				return err
			}
			content, err := os.ReadFile(path)
			for _, m := range page.FindAll(content, -1) {
				named++
				if _, err := os.Stat(filepath.Join(root, string(m))); err != nil {
					t.Errorf("%s names %s, which is not there", path, m)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if named < 50 {
		t.Errorf("only %d pages are named: is this still looking in the right places?", named)
	}
}

// A guarantee that names a test which no longer exists is an empty promise.
func TestNamedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	for _, dir := range []string{"internal", "test", "api", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			for _, m := range decl.FindAllStringSubmatch(string(content), -1) {
				declared[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := 0
	for page, content := range pages(t) {
		for _, m := range name.FindAllStringSubmatch(content, -1) {
			named++
			if !declared[m[1]] {
				t.Errorf("%s names %s, which no test file declares", page, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test")
	}
}

func TestReadmeIsShort(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(content), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines; 150 is the most", lines)
	}
}

var required = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // direct ones: the others end in a comment

// Every direct dependency has its line, with what it is for and its licence.
func TestDependenciesAreNamed(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	direct := required.FindAllStringSubmatch(string(mod), -1)
	if len(direct) == 0 {
		t.Fatal("go.mod has no direct dependencies")
	}
	for _, m := range direct {
		if !strings.Contains(string(page), m[1]) {
			t.Errorf("docs/dependencies.md does not name %s", m[1])
		}
	}
}
