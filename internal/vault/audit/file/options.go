package file

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
)

// Config is what the operator decides, not who enables a device.
type Config struct {
	// Dir is the absolute path of the directory all files are below. It must
	// exist. "" means that only standard output can be written.
	Dir string
	// Stdout is where file_path=stdout writes; nil = os.Stdout. (The program
	// should ignore SIGPIPE, so that a closed pipe is an error and not an end.)
	Stdout io.Writer
	Log    *slog.Logger     // nil = slog.Default
	Now    func() time.Time // stamps checkpoints; nil = time.Now
}

// defaultMode is the mode of a file if the option mode is absent.
const defaultMode = 0o600

// New returns the factory of the device type "file". Its options:
//
//	file_path  required; a path below Config.Dir (relative to it, or absolute), or "stdout"
//	mode       permission bits in octal, default 0600; 0000 leaves an existing
//	           file's mode alone. No execute bit, no writing by others.
func New(cfg Config) audit.Factory {
	if cfg.Stdout == nil {
		cfg.Stdout = os.Stdout
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return func(setup audit.Setup) (audit.Device, error) {
		options := setup.Options
		path, mode := options["file_path"], options["mode"]
		for name := range options {
			if name != "file_path" && name != "mode" {
				return nil, errs.Newf(errs.Invalid, "unknown option %q of an audit device of type file", name)
			}
		}
		perm, keep, err := parseMode(mode)
		if err != nil {
			return nil, err
		}
		if path == "stdout" {
			return &stream{w: cfg.Stdout}, nil
		}
		name, err := below(cfg.Dir, path)
		if err != nil {
			return nil, err
		}
		d := newFile(location{dir: cfg.Dir, name: name, perm: perm, keepMode: keep})
		d.log = cfg.Log
		d.chain, err = chain.New(chain.Config{
			Name: setup.Path, Key: setup.Key, Prefix: setup.Format.Prefix, Now: cfg.Now, Log: cfg.Log, Publish: setup.Publish,
		})
		return d, err
	}
}

// NewStdout returns the factory of the device type "stdout", which is that of
// type file with file_path=stdout.
func NewStdout(cfg Config) audit.Factory {
	files := New(cfg)
	return func(setup audit.Setup) (audit.Device, error) {
		if len(setup.Options) > 0 {
			return nil, errs.New(errs.Invalid, "an audit device of type stdout has no options of its own")
		}
		setup.Options = map[string]string{"file_path": "stdout"}
		return files(setup)
	}
}

// below returns path relative to dir, or why it may not be used.
func below(dir, path string) (string, error) {
	switch {
	case path == "":
		return "", errs.New(errs.Invalid, "file_path is required")
	case path == "discard":
		return "", errs.New(errs.Invalid, "file_path=discard is not supported: an audit device that keeps nothing would hide that nothing is audited")
	case dir == "":
		return "", errs.New(errs.Invalid, "audit files are off: set audit_dir in the server's configuration, or use file_path=stdout")
	case strings.IndexFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return "", errs.New(errs.Invalid, "file_path must have printable characters only")
	}
	name := path
	if filepath.IsAbs(path) {
		var err error
		if name, err = filepath.Rel(dir, path); err != nil {
			return "", errs.Newf(errs.Invalid, "file_path %q must be below %s", path, dir)
		}
	}
	name = filepath.Clean(name)
	if !filepath.IsLocal(name) || name == "." || strings.HasSuffix(path, "/") {
		return "", errs.Newf(errs.Invalid, "file_path %q must be a file below %s, the audit_dir of the server's configuration", path, dir)
	}
	if strings.HasSuffix(name, sideSuffix) {
		return "", errs.Newf(errs.Invalid, "file_path %q must not end in %s: that is where the state of a log's chain is kept", path, sideSuffix)
	}
	return name, nil
}

// parseMode returns the permission bits and whether an existing file keeps its own.
func parseMode(text string) (perm os.FileMode, keep bool, err error) {
	if text == "" {
		return defaultMode, false, nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil:
		return 0, false, errs.Newf(errs.Invalid, "mode must be an octal number such as 0600, not %q", text)
	case n == 0:
		return defaultMode, true, nil
	case n&^0o664 != 0 || n&0o200 == 0:
		return 0, false, errs.Newf(errs.Invalid, "mode %q is refused: an audit file is writable by its owner, and neither executable nor writable by others", text)
	}
	return os.FileMode(n), false, nil
}
