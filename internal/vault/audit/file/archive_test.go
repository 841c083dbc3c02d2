//go:build unix

package file

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

// Files are what the log was moved aside to, oldest first, and the log; nothing
// else that lies there.
func TestFiles(t *testing.T) {
	d, path := device(t)
	if _, err := d.Files(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("before there is one: %v", err)
	}
	write(t, d, "1\n")
	now := time.Now()
	for name, age := range map[string]time.Duration{
		".1": time.Hour, ".2.gz": 2 * time.Hour, "-20260101": 3 * time.Hour, ".tree": time.Minute, "x": time.Minute, ".1.tree": time.Minute,
	} {
		must(t, os.WriteFile(path+name, nil, 0o600))
		must(t, os.Chtimes(path+name, now, now.Add(-age)))
	}
	must(t, os.Symlink("/etc/passwd", path+".3"))
	must(t, os.Mkdir(path+".4", 0o700))
	got, err := d.Files()
	if err != nil || !slices.Equal(got, []string{path + "-20260101", path + ".2.gz", path + ".1", path}) {
		t.Errorf("%q, %v", got, err)
	}
}

// Two devices whose files have names alike do not take each other's for their own.
func TestLogsOfTwoDevices(t *testing.T) {
	dir := t.TempDir()
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": New(Config{Dir: dir})}})
	t.Cleanup(func() { must(t, b.Close()) })
	for name, options := range map[string]map[string]string{
		"free": {"file_path": "a.log", "required": "false"}, "firm": {"file_path": "a.log.b"},
	} {
		key := make([]byte, audit.KeySize)
		must(t, b.Enable(audit.Spec{Path: name, Type: "file", Options: options, Key: redact.New(key)}))
	}
	logs := b.Logs()
	if len(logs) != 2 || logs[0].Device != "firm/" || !logs[0].Required || logs[1].Required {
		t.Fatalf("%+v", logs)
	}
	for i, name := range []string{"a.log.b", "a.log"} {
		if l := logs[i]; l.Why == "" && !slices.Equal(l.Files, []string{filepath.Join(dir, name)}) {
			t.Errorf("%+v", l)
		}
	}
	if logs[0].Why != "" {
		t.Errorf("%+v", logs[0])
	}
}
