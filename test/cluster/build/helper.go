package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
)

// helpers are our own programs that a cluster runs.
var helpers = []string{"cluster", "pause"}

// helperLifetime is how long our programs stay in the cache. They are small and
// built in a second, and every change of their source makes others.
const helperLifetime = 7 * 24 * time.Hour

// Helpers builds, statically linked, the programs of this folder that a cluster
// is made of, unless the cache has them from the same source. They import
// nothing but the standard library, so that their source determines them.
func Helpers(ctx context.Context) (Programs, error) {
	source, err := sourceDir()
	if err != nil {
		return nil, err
	}
	source = filepath.Dir(source)
	key, err := sourceHash(source)
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "helper", key)
	if !exists(dir) {
		if err := buildHelpers(ctx, source, dir); err != nil {
			return nil, fmt.Errorf("building the cluster's own programs: %w", err)
		}
	}
	programs := Programs{}
	for _, name := range helpers {
		programs[name] = filepath.Join(dir, name)
	}
	return programs, nil
}

func buildHelpers(ctx context.Context, source, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	l, err := lock.Wait(ctx, dir+".lock", func() {})
	if err != nil {
		return err
	}
	defer l.Release()
	if exists(dir) {
		return nil
	}
	temp, err := tempDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", temp + "/"}
	for _, name := range helpers {
		args = append(args, "./cmd/"+name)
	}
	if err := goCommand(ctx, source, []string{"CGO_ENABLED=0"}, args...); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return err
	}
	prune(filepath.Dir(dir))
	return nil
}

// prune removes what was built from source long changed. A cluster that still
// runs it keeps its open files.
func prune(cache string) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > helperLifetime {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}

// sourceHash covers the Go files below dir, but tests and the folders of other
// modules.
func sourceHash(dir string) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, runtime.Version())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || exists(filepath.Join(path, "go.mod"))) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hashing source in %q: %w", dir, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
