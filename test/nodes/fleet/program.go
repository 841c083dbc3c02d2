package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/vault/format"
)

// asServer has the test's binary be the command; its value is a format.Program.
const asServer = "STRONGKEEP_TEST_PROGRAM"

// Main runs a package's tests, or the command if this process was started as one.
func Main(m *testing.M) int {
	as := os.Getenv(asServer)
	if as == "" {
		return m.Run()
	}
	if err := json.Unmarshal([]byte(as), &format.This); err != nil {
		panic(err)
	}
	if format.This.Version != "" {
		app.Version = format.This.Version
	}
	return cli.Main(os.Args[1:], session.System())
}

// Program makes an executable in dir, named after the version, that is the command of this tree
// but for what p says; the zero one says nothing.
func Program(t testing.TB, dir string, p format.Program) (path string) {
	t.Helper()
	if p.Newest == 0 {
		version := p.Version
		p = format.This
		p.Version = version
	}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "strongkeep-"+p.Version)
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' GORACE=atexit_sleep_ms=10 exec %s \"$@\"\n", asServer, raw, me)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
