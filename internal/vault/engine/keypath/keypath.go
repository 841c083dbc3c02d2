package keypath

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Limits of the names that clients choose for what they store. They leave
// room in store.MaxKey for the mount's own prefix and for what an engine and
// the sealed decorator add.
const (
	MaxPath = 1 << 10          // bytes of a whole path
	MaxPart = store.MaxSegment // bytes between two slashes
)

// Check returns Invalid unless path can name a secret: non-empty
// segments joined by single slashes, none of them "." or "..", printable valid
// UTF-8, within the limits. A literal %2f is refused too: it is what is left of
// a slash that was encoded twice, and would be another key than the one meant.
func Check(path string) error {
	switch {
	case path == "":
		return errs.New(errs.Invalid, "missing path: name the secret behind the last slash")
	case len(path) > MaxPath:
		return errs.Newf(errs.Invalid, "the path has %d bytes, over the limit of %d", len(path), MaxPath)
	case !printable(path):
		return errs.New(errs.Invalid, "the path must be printable characters in valid UTF-8")
	case path[len(path)-1] == '/':
		return errs.New(errs.Invalid, "the path must not end in a slash: that names a folder, which can only be listed")
	case containsEncodedSlash(path):
		return errs.New(errs.Invalid, "the path holds a literal %2f: encode a slash once or not at all")
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return errs.New(errs.Invalid, "the path has an empty segment: remove the leading or doubled slash")
		case part == "." || part == "..":
			return errs.Newf(errs.Invalid, "the path must not have the segment %q", part)
		case len(part) > MaxPart:
			return errs.Newf(errs.Invalid, "a segment of the path has %d bytes, over the limit of %d", len(part), MaxPart)
		}
	}
	return nil
}

func printable(path string) bool {
	for i, r := range path {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(path[i:]); size == 1 {
				return false
			}
		} else if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func containsEncodedSlash(path string) bool {
	for {
		i := strings.Index(path, "%2")
		if i < 0 || i+2 >= len(path) {
			return false
		}
		if c := path[i+2]; c == 'f' || c == 'F' {
			return true
		}
		path = path[i+2:]
	}
}

// Folder returns the folder that a LIST path names, "" for the root or
// with one slash at its end, or an error as Check has it.
func Folder(path string) (string, error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", nil
	}
	if err := Check(path); err != nil {
		return "", err
	}
	return path + "/", nil
}

// List answers a LIST with the names directly below folder of tx, in
// alphabetical order. The fields "after" and "limit" page through them: names
// behind after, which need not exist, at most limit (0 or less = all). Nothing
// to show is a nil Response, 404 on the wire.
//
// The store's order is not alphabetical, so each page reads the whole folder.
func List(ctx context.Context, tx engine.Tx, folder string, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	after, limit := d.String("after", ""), d.Int("limit", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	names, err := tx.List(ctx, folder, "", 0)
	if err != nil {
		return nil, err
	}
	names = slices.Clone(names)
	slices.Sort(names)
	if after != "" {
		i, found := slices.BinarySearch(names, after)
		if found {
			i++
		}
		names = names[i:]
	}
	if limit > 0 && limit < int64(len(names)) {
		names = names[:limit]
	}
	if len(names) == 0 {
		return nil, nil
	}
	return &engine.Response{Data: engine.NewObjectSize(32*len(names)).Strs("keys", names).Value()}, nil
}

// Fields documents what List takes.
func Fields() []engine.Field {
	return []engine.Field{
		{Name: "after", Query: true, Type: engine.String, Help: "List only names behind this one in alphabetical order."},
		{Name: "limit", Query: true, Type: engine.Int, Help: "List at most this many names; 0 lists all.", Default: "0"},
	}
}
