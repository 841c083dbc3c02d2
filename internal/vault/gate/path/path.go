package path

import (
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Max bounds a request path in bytes; it leaves room for what mounts and
// the sealing of names add to a storage key.
const Max = 1024

// Check refuses paths that two layers could read differently (the class of
// CVE-2026-3605): relative and empty segments, control characters, broken UTF-8.
func Check(path string, op engine.Operation) error {
	if len(path) > Max {
		return errs.Newf(errs.Invalid, "the path is %d bytes long; the limit is %d", len(path), Max)
	}
	if path == "" {
		return errs.New(errs.Invalid, "the path is empty: name one below /v1/")
	}
	if path[0] == '/' || strings.Contains(path, "//") {
		return errs.New(errs.Invalid, "the path has an empty segment: remove the doubled slash")
	}
	if !utf8.ValidString(path) {
		return errs.New(errs.Invalid, "the path is not valid UTF-8")
	}
	if i := strings.IndexFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		return errs.Newf(errs.Invalid, "the path has a control character at byte %d", i)
	}
	if hasDotSegment(path) {
		return errs.New(errs.Invalid, "relative paths not supported: a segment of the path is \".\" or \"..\"")
	}
	if writes(op) && strings.HasSuffix(path, "/") {
		return errs.New(errs.Invalid, "cannot write to a path ending in '/'")
	}
	return nil
}

func writes(op engine.Operation) bool {
	return op == engine.Update || op == engine.Create || op == engine.Patch
}

func hasDotSegment(path string) bool {
	for rest, more := path, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
