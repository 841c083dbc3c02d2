// Package page gives tests the commands of docs/encryption.md, so that what the page says is what is
// run on a real control plane. Its own test wants each command in some test.
//
// Start reading at Command.
package page

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Place is the page's file.
func Place() (string, error) { return place, errPlace }

// place is looked for at the start: a test may change its working directory.
var place, errPlace = find()

// find looks in the folders above the working directory.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the page: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		file := filepath.Join(dir, "docs", "encryption.md")
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("looking for the page: %w", os.ErrNotExist)
		}
	}
}

var (
	block        = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```$")
	continuation = regexp.MustCompile(`\\\n\s*`)
	blanks       = regexp.MustCompile(`\s+`)
)

// Commands are those of strongkeep in the blocks of a page, each in one line, without "strongkeep" and what
// stands behind a redirection.
func Commands(text string) []string {
	var out []string
	for _, b := range block.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(continuation.ReplaceAllString(b[1], " ")) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "strongkeep ")
			if !ok {
				continue
			}
			command, _, _ = strings.Cut(command, " > ")
			out = append(out, blanks.ReplaceAllString(strings.TrimSpace(command), " "))
		}
	}
	return out
}

// Command returns the arguments of the page's command that begins with prefix. Of pairs, each first is replaced
// by the second one before the command is cut into arguments; what was to be replaced and is
// not there fails the test, as does what a shell would have to be asked for.
func Command(t testing.TB, prefix string, pairs ...string) []string {
	t.Helper()
	if errPlace != nil {
		t.Fatal(errPlace)
	}
	text, err := os.ReadFile(place)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.DeleteFunc(Commands(string(text)), func(c string) bool { return !strings.HasPrefix(c, prefix) })
	if len(all) != 1 {
		t.Fatalf("docs/encryption.md has %d commands that begin with %q", len(all), prefix)
	}
	args, err := fill(all[0], pairs)
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// shell is what only a shell knows, and the page's examples of names that no test has.
var shell = regexp.MustCompile(`[$*"]|10\.0\.0\.|/etc/|/var/|KEY-ID`)

func fill(command string, pairs []string) ([]string, error) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(command, pairs[i]) {
			return nil, fmt.Errorf("%q is not in %q", pairs[i], command)
		}
		command = strings.ReplaceAll(command, pairs[i], pairs[i+1])
	}
	left := command
	for i := 1; i < len(pairs); i += 2 { // what a test has put there may have any name
		left = strings.ReplaceAll(left, pairs[i], "")
	}
	if found := shell.FindString(left); found != "" {
		return nil, fmt.Errorf("%q is left in %q: a test has to say what stands there", found, left)
	}
	return strings.Fields(command), nil
}

// KeyID is how the page asks for the key id of now.
const KeyID = `"$(strongkeep kms status -field=key_id)"`
