package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// MaxLength is the longest pattern, in bytes.
const MaxLength = 4 << 10

// Pattern is the path of a rule. A segment that is exactly "+" stands for any
// one segment, empty ones included; "*" at the very end for any rest.
type Pattern struct {
	text      string   // as in the policy, without its leading slash
	glob      bool     // ends in "*"
	plus      int      // how many "+" segments
	firstWild int      // byte position of the first "+" segment or of "*"; the length if there is none
	segments  []string // without the "*"; only set if plus > 0
}

// New reads a pattern. One leading slash is dropped, as in Vault. An error is
// of kind Invalid and says what to write instead.
func New(text string) (Pattern, error) {
	text = strings.TrimPrefix(text, "/")
	if err := check(text); err != nil {
		return Pattern{}, err
	}
	return read(text), nil
}

// Below returns the pattern of the same paths within folder, which ends in "/"
// and holds neither "+" segments nor "*".
func (p *Pattern) Below(folder string) Pattern { return read(folder + p.text) }

func read(text string) Pattern {
	p := Pattern{text: text}
	p.glob = strings.HasSuffix(p.text, "*")
	p.firstWild = len(p.prefix())
	offset := 0
	for segment := range strings.SplitSeq(p.prefix(), "/") {
		if segment == "+" {
			p.plus++
			p.firstWild = min(p.firstWild, offset)
		}
		offset += len(segment) + 1
	}
	if p.plus > 0 {
		p.segments = strings.Split(p.prefix(), "/")
	}
	return p
}

func check(path string) error {
	bad := func(why string) error { return errs.Newf(errs.Invalid, "path %.80q: %s", path, why) }
	switch {
	case path == "":
		return errs.New(errs.Invalid, `a path must not be empty; "*" stands for every path`)
	case len(path) > MaxLength:
		return errs.Newf(errs.Invalid, "a path of %d bytes is over the limit of %d", len(path), MaxLength)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return bad("control characters and broken UTF-8 are not allowed")
	case strings.Contains(path, "{{") || strings.Contains(path, "}}"):
		return bad("{{ and }} belong to templates, which this path cannot have")
	case strings.Contains(path, "+*"):
		return bad(`"+*" is forbidden; write "+" for one segment or "*" for the rest of the path`)
	case strings.Contains(strings.TrimSuffix(path, "*"), "*"):
		return bad(`"*" is allowed only as the last character; write "+" for one whole segment`)
	case path[0] == '/':
		return bad("it begins with more than one slash and would never match")
	case Dotted(path):
		return bad(`the segments "." and ".." are not allowed; write the path itself`)
	}
	return nil
}

// Dotted reports whether a segment of path is "." or "..".
func Dotted(path string) bool {
	for from := 0; ; {
		i := strings.IndexByte(path[from:], '.')
		if i < 0 {
			return false
		}
		i += from
		from = i + 1
		if i > 0 && path[i-1] != '/' {
			continue
		}
		rest := strings.TrimPrefix(path[from:], ".")
		if rest == "" || rest[0] == '/' {
			return true
		}
	}
}

// String returns the text without its leading slash.
func (p *Pattern) String() string { return p.text }

// Exact reports whether the pattern has no wildcard: it matches one path, and
// the listing of it.
func (p *Pattern) Exact() bool { return !p.glob && p.plus == 0 }

// prefix is the text without the "*".
func (p *Pattern) prefix() string { return strings.TrimSuffix(p.text, "*") }

// outranks reports whether p goes before o where both match and neither is an
// exact path: the later first wildcard, then the one without "*", fewer "+",
// the longer, the lexicographically greater (§2.3).
func (p *Pattern) outranks(o *Pattern) bool {
	switch {
	case p.firstWild != o.firstWild:
		return p.firstWild > o.firstWild
	case p.glob != o.glob:
		return o.glob
	case p.plus != o.plus:
		return p.plus < o.plus
	case len(p.text) != len(o.text):
		return len(p.text) > len(o.text)
	}
	return p.text > o.text
}

// cut returns the segment of path that starts at pos and where the next one
// starts: behind the end of path, that is len(path)+1, if it was the last.
func cut(path string, pos int) (segment string, next int) {
	if i := strings.IndexByte(path[pos:], '/'); i >= 0 {
		return path[pos : pos+i], pos + i + 1
	}
	return path[pos:], len(path) + 1
}

// covers reports whether a pattern with "+" and "*" matches every path that
// begins with folder, which is "" or ends in a slash.
func (p *Pattern) covers(folder string) bool {
	last := len(p.segments) - 1
	for i, pos := 0, 0; pos <= len(folder); i++ {
		if i == last {
			return p.glob && strings.HasPrefix(folder[pos:], p.segments[i])
		}
		var segment string
		if segment, pos = cut(folder, pos); p.segments[i] != "+" && p.segments[i] != segment {
			return false
		}
	}
	return false
}

// reaches reports whether a pattern with "+" matches some path that begins with folder.
func (p *Pattern) reaches(folder string) bool {
	last := len(p.segments) - 1
	for i, pos := 0, 0; pos < len(folder); i++ {
		var segment string
		part := p.segments[i]
		segment, pos = cut(folder, pos)
		switch {
		case i == last:
			return p.glob && strings.HasPrefix(segment, part)
		case part != "+" && part != segment:
			return false
		}
	}
	return true
}
