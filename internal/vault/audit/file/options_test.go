package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		dir     string
		options map[string]string
		target  string // "" = refused
		text    string // of the refusal
	}{
		"relative":         {dir, map[string]string{"file_path": "a.log"}, filepath.Join(dir, "a.log"), ""},
		"absolute":         {dir, map[string]string{"file_path": dir + "/sub/a.log", "mode": "0640"}, filepath.Join(dir, "sub/a.log"), ""},
		"dots that stay":   {dir, map[string]string{"file_path": "sub/../a.log"}, filepath.Join(dir, "a.log"), ""},
		"stdout":           {"", map[string]string{"file_path": "stdout"}, "standard output", ""},
		"keep mode":        {dir, map[string]string{"file_path": "a.log", "mode": "0000"}, filepath.Join(dir, "a.log"), ""},
		"no path":          {dir, nil, "", "file_path is required"},
		"no directory":     {"", map[string]string{"file_path": "/var/log/a.log"}, "", "set audit_dir"},
		"discard":          {dir, map[string]string{"file_path": "discard"}, "", "not supported"},
		"outside":          {dir, map[string]string{"file_path": "/etc/cron.d/a"}, "", "must be a file below"},
		"sibling":          {dir, map[string]string{"file_path": dir + "x/a.log"}, "", "must be a file below"},
		"escape":           {dir, map[string]string{"file_path": "../a.log"}, "", "must be a file below"},
		"absolute escape":  {dir, map[string]string{"file_path": dir + "/../a.log"}, "", "must be a file below"},
		"the directory":    {dir, map[string]string{"file_path": dir}, "", "must be a file below"},
		"a folder":         {dir, map[string]string{"file_path": "sub/"}, "", "must be a file below"},
		"line end":         {dir, map[string]string{"file_path": "a\nb"}, "", "printable"},
		"zero byte":        {dir, map[string]string{"file_path": "a\x00b"}, "", "printable"},
		"executable":       {dir, map[string]string{"file_path": "a.log", "mode": "0700"}, "", "executable"}, // CVE-2025-6000
		"group executable": {dir, map[string]string{"file_path": "a.log", "mode": "0610"}, "", "executable"},
		"setuid":           {dir, map[string]string{"file_path": "a.log", "mode": "4600"}, "", "refused"},
		"writable by all":  {dir, map[string]string{"file_path": "a.log", "mode": "0666"}, "", "writable by others"},
		"not writable":     {dir, map[string]string{"file_path": "a.log", "mode": "0400"}, "", "refused"},
		"not octal":        {dir, map[string]string{"file_path": "a.log", "mode": "rw"}, "", "octal"},
		"negative":         {dir, map[string]string{"file_path": "a.log", "mode": "-1"}, "", "octal"},
		"unknown":          {dir, map[string]string{"file_path": "a.log", "colour": "red"}, "", `"colour"`},
	} {
		dev, err := New(Config{Dir: c.dir})(audit.Setup{Path: "file/", Options: c.options, Key: redact.New(make([]byte, audit.KeySize))})
		if c.target == "" {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v, want it to be Invalid and say %q", name, err, c.text)
			}
			continue
		}
		if err != nil || dev.Target() != c.target {
			t.Errorf("%s: %v %v, want %s", name, dev, err, c.target)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking at options made files: %v %v", entries, err)
	}
}

func FuzzBelow(f *testing.F) {
	for _, s := range []string{"a.log", "/var/log/sk/a.log", "../x", "/var/log/sk/../x", "a//b", "./a", "", ".", "/", "a/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		const dir = "/var/log/sk"
		name, err := below(dir, path)
		if err != nil {
			return
		}
		full := filepath.Join(dir, name)
		if !strings.HasPrefix(full, dir+"/") || strings.Contains(full, "..") && strings.Contains(full, "/../") {
			t.Errorf("%q leads to %q", path, full)
		}
	})
}
