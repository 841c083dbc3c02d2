package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
)

// toy is a group that builds in a second: one program of a module without
// requirements but the pretended one that gives it its version.
func toy(t *testing.T, source string) builder {
	t.Helper()
	b := builder{
		group: group{
			name: "toy", module: "example.com/dep",
			env:      []string{"CGO_ENABLED=0"},
			stamp:    "-X main.version=VERSION",
			programs: [][2]string{{"hello", "example.com/toy"}},
		},
		source:   t.TempDir(),
		cache:    t.TempDir(),
		progress: newProgress(&bytes.Buffer{}),
	}
	for name, content := range map[string]string{
		"go.mod":     "module example.com/toy\n\ngo 1.26\n\nrequire example.com/dep v1.2.3\n\nreplace example.com/dep => ./dep\n",
		"go.sum":     "",
		"dep/go.mod": "module example.com/dep\n",
		"main.go":    source,
	} {
		path := filepath.Join(b.source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

const hello = "package main\n\nvar version string\n\nfunc main() { println(version) }\n"

func TestBuildIsStampedAndCached(t *testing.T) {
	b := toy(t, hello)
	dir, err := b.ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(filepath.Base(dir), "toy-v1.2.3-") {
		t.Errorf("cached as %s", dir)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "hello")).CombinedOutput()
	if err != nil || string(out) != "v1.2.3\n" {
		t.Errorf("program printed %q, %v", out, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("cache is not for other users to read: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(filepath.Join(b.source, "main.go")); err != nil {
		t.Fatal(err)
	}
	if again, err := b.ensure(t.Context()); err != nil || again != dir {
		t.Errorf("second time: %s, %v; want the cache", again, err)
	}
	entries, err := os.ReadDir(b.cache)
	if err != nil || len(entries) != 1 {
		t.Errorf("cache holds %v, %v; want one directory and no lock", entries, err)
	}
}

func TestConcurrentBuildersBuildOnce(t *testing.T) {
	b := toy(t, hello)
	var logs [3]bytes.Buffer
	var wg sync.WaitGroup
	for i := range logs {
		wg.Go(func() {
			mine := b
			mine.progress = newProgress(&logs[i])
			if _, err := mine.ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	built := 0
	for i := range logs {
		built += strings.Count(logs[i].String(), "built hello")
	}
	if built != 1 {
		t.Errorf("built %d times", built)
	}
}

func TestWaitingBuilderSaysSo(t *testing.T) {
	b := toy(t, hello)
	key, err := b.group.key(b.source)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Try(filepath.Join(b.cache, key) + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.progress = newProgress(writerFunc(func(p []byte) (int, error) {
		if !bytes.Contains(p, []byte("waiting for another process")) {
			t.Errorf("said %q", p)
		}
		cancel()
		return len(p), nil
	}))
	if _, err := b.ensure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ensure: %v", err)
	}
}

func TestFailedBuildShowsTheCompilerAndLeavesNothing(t *testing.T) {
	b := toy(t, "package main\n\nfunc main() { undefinedFunction() }\n")
	_, err := b.ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "undefinedFunction") || !strings.Contains(err.Error(), "building hello") {
		t.Errorf("error is %v", err)
	}
	if entries, err := os.ReadDir(b.cache); err != nil || len(entries) > 0 {
		t.Errorf("cache holds %v, %v", entries, err)
	}
}

func TestInterruptedBuildsAreRemoved(t *testing.T) {
	b := toy(t, hello)
	key, err := b.group.key(b.source)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(b.cache, key+".tmp-123")
	if err := os.MkdirAll(filepath.Join(left, "hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(left) {
		t.Error("what an interrupted build left is still there")
	}
}

func TestKeyChangesWithWhatIsBuilt(t *testing.T) {
	b := toy(t, hello)
	keys := map[string]string{}
	add := func(what string, g group) {
		t.Helper()
		key, err := g.key(b.source)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[key]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		keys[key] = what
	}
	add("the group", b.group)
	for what, change := range map[string]func(*group){
		"other tags":         func(g *group) { g.tags = "seccomp" },
		"another stamp":      func(g *group) { g.stamp = "" },
		"with cgo":           func(g *group) { g.env = []string{"CGO_ENABLED=1"} },
		"one program more":   func(g *group) { g.programs = append(g.programs[:1:1], [2]string{"a", "b"}) },
		"another group name": func(g *group) { g.name = "game" },
	} {
		g := b.group
		change(&g)
		add(what, g)
	}
	if err := os.WriteFile(filepath.Join(b.source, "go.sum"), []byte("x v1 h1:=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add("another go.sum", b.group)
}

// Guards against a group whose folder does not pin the module it is named for.
func TestGroupsArePinned(t *testing.T) {
	source, err := sourceDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups(Node) {
		version, err := g.version(filepath.Join(source, g.name))
		if err != nil {
			t.Error(err)
		}
		tools, err := os.ReadFile(filepath.Join(source, g.name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range g.programs {
			if !strings.Contains(string(tools), p[1]+"\n") {
				t.Errorf("%s %s: %s is no tool of the module", g.name, version, p[1])
			}
		}
	}
}

func TestProgress(t *testing.T) {
	var pipe bytes.Buffer
	p := newProgress(&pipe)
	p.total = 3
	p.skip(1)
	p.begin("etcd v1")(nil)
	p.begin("runc v1")(errors.New("no"))
	want := "building etcd v1 (2 of 3)\nbuilt etcd v1 (2 of 3) in 0s\nbuilding runc v1 (3 of 3)\n"
	if pipe.String() != want {
		t.Errorf("in a pipe: %q, want %q", pipe.String(), want)
	}

	var terminal bytes.Buffer
	p = newProgress(&terminal)
	p.terminal, p.total = true, 1
	p.begin("etcd v1")(nil)
	got := terminal.String()
	if !strings.HasPrefix(got, "\r\x1b[Kbuilding etcd v1 (1 of 1) 0s") || !strings.HasSuffix(got, "\r\x1b[Kbuilt etcd v1 (1 of 1) in 0s\n") {
		t.Errorf("on a terminal: %q", got)
	}
}

func TestSourceHashFollowsSourceOnly(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("package x // "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := sourceHash(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := write("a/a.go")
	for _, name := range []string{"a/a_test.go", "README.md", "testdata/x.go", "mod/go.mod", "mod/x.go"} {
		if write(name) != first {
			t.Errorf("hash changes with %s", name)
		}
	}
	if write("b/b.go") == first {
		t.Error("hash does not change with a file")
	}
}

func TestPruneTakesOldHelpers(t *testing.T) {
	cache := t.TempDir()
	old, young := filepath.Join(cache, "old"), filepath.Join(cache, "young")
	for _, dir := range []string{old, young} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * helperLifetime)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	prune(cache)
	if exists(old) || !exists(young) {
		t.Errorf("old is there: %v, young is there: %v", exists(old), exists(young))
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("STRONGKEEP_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/x")
	if d, err := cacheDir(); err != nil || d != "/x/strongkeep" {
		t.Errorf("by XDG_CACHE_HOME: %s, %v", d, err)
	}
	t.Setenv("STRONGKEEP_CACHE", "/y")
	if d, err := cacheDir(); err != nil || d != "/y" {
		t.Errorf("by STRONGKEEP_CACHE: %s, %v", d, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
