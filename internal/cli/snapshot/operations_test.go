package snapshot_test

import (
	"os"
	"strings"
	"testing"
)

// What the pages about diagnosing and memory say to type works as they say.
func TestOperations(t *testing.T) {
	w := newWorld(t)
	w.start("etc/server.yaml")
	w.init()
	commands := map[string]int{}
	for _, name := range []string{"diagnose", "memory"} {
		page, err := os.ReadFile("../../../docs/operations/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range typed(string(page)) {
			commands[name]++
			w.operate(line)
		}
	}
	if commands["diagnose"] != 1 || commands["memory"] != 1 {
		t.Errorf("%v commands", commands)
	}
	if w.get("app/db") != canary {
		t.Error("the vault is not what it was")
	}
}

// typed are the lines of the blocks of a page that say no language.
func typed(page string) (lines []string) {
	open := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```") && open == "":
			open = line
		case line == "```":
			open = ""
		case open == "```":
			lines = append(lines, line)
		}
	}
	return lines
}

// operate runs a line of those pages.
func (w *world) operate(line string) {
	w.Helper()
	switch {
	case strings.HasPrefix(line, "strongkeep operator diagnose "):
		out, _ := w.run(line) // the disk of a busy machine may be slow, or nearly full: what it finds is not the page's
		for _, said := range []string{"the configuration is right", "a server answers", "the vault is open", "writes are durable soon", "key answers"} {
			at := strings.Index(out, said)
			if at < 0 {
				w.Errorf("%s\ndoes not say whether %s:\n%s", line, said, out)
			}
		}
		w.says(line, out, []string{"OK", "it is unsealed"})
	default:
		w.must(line)
	}
}
