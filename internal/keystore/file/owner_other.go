//go:build !unix

package file

import (
	"io/fs"
	"os"
)

// give gives f the mode of another file. It gets the access list of its directory, as
// the other one did.
func give(f *os.File, of fs.FileInfo) error { return f.Chmod(of.Mode().Perm()) }
