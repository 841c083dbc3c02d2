package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var console = regexp.MustCompile("(?s)```console\n(.*?)```")

// Every command of docs/insight.md answers what the page says, and no answer has the
// password in it that lies in seven places.
func TestInsight(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "insight.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	commands := 0
	for _, block := range console.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimRight(line, " \n")
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands++
				fmt.Fprintf(&script, "exec %s\n! stdout 9f8e7d6c5b4a\n! stderr 9f8e7d6c5b4a\n", command)
				continue
			}
			want := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
			fmt.Fprintf(&script, "stdout '^%s *$'\n", strings.ReplaceAll(regexp.MustCompile(` {2,}`).ReplaceAllString(want, " +"), "'", "''"))
		}
	}
	if commands < 8 {
		t.Fatalf("the page has %d commands", commands)
	}
	file := filepath.Join(t.TempDir(), "insight.txt")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		e.Setenv("GORACE", "atexit_sleep_ms=10")
		return os.CopyFS(e.WorkDir, os.DirFS(filepath.Join("testdata", "insight")))
	}})
}
