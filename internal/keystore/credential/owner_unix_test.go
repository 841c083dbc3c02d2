//go:build unix

package credential_test

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
)

// file is one as stat tells of it.
type file struct {
	mode     fs.FileMode
	uid, gid uint32
}

func (f file) Name() string       { return "key" }
func (f file) Size() int64        { return 64 }
func (f file) Mode() fs.FileMode  { return f.mode }
func (f file) ModTime() time.Time { return time.Time{} }
func (f file) IsDir() bool        { return false }
func (f file) Sys() any           { return &syscall.Stat_t{Uid: f.uid, Gid: f.gid} }

// Guards the key on a Secret volume with fsGroup, and every file that only looks like one.
func TestPrivate(t *testing.T) {
	const stranger = 54321
	ours := uint32(os.Getegid())
	for name, c := range map[string]struct {
		file
		say string // "" = it is taken
	}{
		"own":                       {file{0o600, stranger, stranger}, ""},
		"Secret without fsGroup":    {file{0o400, 0, 0}, ""},
		"Secret with fsGroup":       {file{0o440, 0, ours}, ""},
		"root's, for a service":     {file{0o640, 0, ours}, ""},
		"another group's":           {file{0o440, 0, stranger}, "root's"},
		"a user's":                  {file{0o440, stranger, ours}, "root's"},
		"group may write":           {file{0o460, 0, ours}, "defaultMode"},
		"group may do all, fsGroup": {file{0o660, 0, ours}, "defaultMode"},
		"all may read":              {file{0o444, 0, ours}, "0444"},
		"all may write":             {file{0o442, 0, ours}, "defaultMode"},
		"group may execute":         {file{0o450, 0, ours}, "defaultMode"},
	} {
		err := credential.Private("/key", c.file)
		if c.say == "" && err != nil || c.say != "" && (!errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "chmod 0400 /key")) {
			t.Errorf("%s: %v, want %q", name, err, c.say)
		}
	}
}
