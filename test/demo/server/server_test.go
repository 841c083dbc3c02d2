package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a Server whose program is a shell script.
func fake(t *testing.T, script string) *Server {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "strongkeep")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Server{Binary: binary, Dir: dir, LogDir: dir, Address: "192.0.2.1:8200", Token: "tok"}
}

func TestCLIHasTheEnvironmentAndStdin(t *testing.T) {
	s := fake(t, `echo "$VAULT_ADDR $VAULT_CACERT $VAULT_TOKEN $HOME $* $(cat)"`)
	out, err := s.CLI(t.Context(), "a value", "kv", "put")
	want := "https://192.0.2.1:8200 " + s.Dir + "/tls/ca.pem tok " + s.Dir + " kv put a value\n"
	if err != nil || string(out) != want {
		t.Errorf("printed %q, %v; want %q", out, err, want)
	}
}

func TestFailureShowsCodeAndMessageAndNoStdin(t *testing.T) {
	s := fake(t, `echo "Error: no" >&2; exit 4`)
	_, err := s.CLI(t.Context(), "a value", "kv", "get")
	if ExitCode(err) != ExitDenied || !strings.Contains(err.Error(), "strongkeep kv get") || !strings.Contains(err.Error(), "Error: no") {
		t.Errorf("CLI: %v", err)
	}
	if strings.Contains(err.Error(), "a value") {
		t.Error("the error shows what was given on standard input")
	}
	if ExitCode(nil) != -1 {
		t.Error("no error has an exit code")
	}
}

func TestReadRefusesWhatIsNotJSON(t *testing.T) {
	var v map[string]any
	if err := fake(t, "echo '{\"a\":1}'").Read(t.Context(), &v, "", "status"); err != nil || v["a"] != 1.0 {
		t.Errorf("Read: %v, %v", v, err)
	}
	if err := fake(t, "echo sealed").Read(t.Context(), &v, "", "status"); err == nil {
		t.Error("read what is not JSON")
	}
}

func TestUnsealWantsAnOpenVault(t *testing.T) {
	if err := fake(t, `cat >/dev/null; echo '{"sealed":false}'`).Unseal(t.Context(), "1", "2", "3"); err != nil {
		t.Errorf("opened: %v", err)
	}
	if err := fake(t, `cat >/dev/null; echo '{"sealed":true}'`).Unseal(t.Context(), "1", "2"); err == nil {
		t.Error("a sealed vault passed as open")
	}
}

// Guards against taking a server that cannot run for one that is slow.
func TestStartOfABrokenProgramShowsItsLog(t *testing.T) {
	s := fake(t, `echo "address in use" >&2; exit 1`)
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address in use") {
		t.Errorf("Start: %v", err)
	}
	s.Stop()
}

func TestFreeAddress(t *testing.T) {
	address, err := FreeAddress(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("%s is not free: %v", address, err)
	}
	defer l.Close()
	if other, err := FreeAddress(t.Context(), "127.0.0.1"); err != nil || other == address {
		t.Errorf("second: %q, %v", other, err)
	}
	if _, err := FreeAddress(t.Context(), "192.0.2.1"); err == nil {
		t.Error("an address of no machine of ours is free")
	}
}
