//go:build linux && cgo

package token

import (
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// socket is the descriptor of our end of the pair.
const socket = 3

// maxFiles is enough for modules that have a connection for each session.
const maxFiles = 1024

// Main is the program: it serves at descriptor 3 until that closes, and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "version" {
		_, err := fmt.Fprintf(stdout, "strongkeep-pkcs11, protocol %d\n", wire.Protocol)
		if err != nil {
			return 1
		}
		return 0
	}
	conn, err := inherited()
	if err != nil || len(args) > 0 {
		_, _ = fmt.Fprintln(stderr, "strongkeep-pkcs11 is started by strongkeep, where a configuration names a key store pkcs11 (docs/encryption.md#pkcs11)")
		return 2
	}
	if err := confine(); err != nil {
		return 1
	}
	serve(conn)
	return 0
}

// inherited returns the socket that we were given, which no child of the module's gets.
func inherited() (net.Conn, error) {
	unix.CloseOnExec(socket)
	f := os.NewFile(socket, "strongkeep")
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return conn, f.Close()
}

// confine has no core of this process written and nobody of its user read its memory:
// the PIN and what is decrypted are in it.
func confine() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur, files.Max = min(files.Cur, maxFiles), min(files.Max, maxFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
