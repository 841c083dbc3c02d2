//go:build linux && cgo

package pkcs11test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built is what is compiled once for a test binary.
var built struct {
	sync.Mutex
	dir, program, shim string
}

// Main runs the tests of a package and removes what was built for them:
//
//	func TestMain(m *testing.M) { os.Exit(pkcs11test.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	return code
}

// directory is that of what was built. built is held.
func directory(t testing.TB) string {
	t.Helper()
	if built.dir == "" {
		var err error
		if built.dir, err = os.MkdirTemp("", "pkcs11"); err != nil {
			t.Fatal(err)
		}
	}
	return built.dir
}

// program builds strongkeep-pkcs11, with the race detector if the test has it.
func program(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.program != "" {
		return built.program
	}
	path := filepath.Join(directory(t), "strongkeep-pkcs11")
	run(t, "go", append(append([]string{"build", "-buildvcs=false"}, raced...), "-o", path, "github.com/strongkeep/strongkeep/cmd/strongkeep-pkcs11")...)
	built.program = path
	return path
}

// shim compiles testdata/shim.c, with the headers that the binding brings along.
func shim(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.shim != "" {
		return built.shim
	}
	binding := run(t, "go", "list", "-f", "{{.Dir}}", "github.com/miekg/pkcs11")
	own := run(t, "go", "list", "-f", "{{.Dir}}", "github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test")
	path := filepath.Join(directory(t), "shim.so")
	run(t, compiler(t), "-shared", "-fPIC", "-O1", "-I", binding, "-o", path, filepath.Join(own, "testdata", "shim.c"), "-ldl")
	built.shim = path
	return path
}

func compiler(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: a PKCS#11 module that hangs is not tested: it takes a C compiler")
	return ""
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", name, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
