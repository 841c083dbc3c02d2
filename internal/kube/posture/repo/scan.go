package repo

import (
	"bytes"
	"hash/maphash"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// find is one secret in a file.
type find struct {
	line  int
	print fingerprint.Print // by the look's key, to tell equal ones
	value snapshot.Value
}

// scanner is shared by all workers of a look, and not changed.
type scanner struct {
	key  *fingerprint.Key
	live map[fingerprint.Print]bool
	tell bool // prints are told
	same []fingerprint.Print
}

// worker looks at one file at a time.
type worker struct {
	*scanner
	seed maphash.Seed
	// known are words that are no secret: files of a repository are mostly alike.
	known map[uint64]struct{}
}

func (s *scanner) worker() *worker {
	return &worker{scanner: s, seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
}

// maxKnown bounds what a worker remembers.
const maxKnown = 1 << 20

// maxFinds bounds what one file version can have: a file with more is a list of them.
const maxFinds = 200

// find looks at a file; ok is false of one that is no text, which is not looked at.
func (w *worker) find(raw []byte) (found []find, ok bool) {
	text, ok := readable(raw)
	if !ok {
		return nil, false
	}
	g := &gather{worker: w, text: text, seen: map[fingerprint.Print]int{}}
	g.manifests()
	g.tokens()
	if len(w.live) > 0 {
		g.compare()
	}
	return g.out, true
}

// gather is what is found in one file.
type gather struct {
	*worker
	text []byte
	out  []find
	seen map[fingerprint.Print]int // index in out
	// counted are the ends of lines before the place last asked about.
	place, counted int
}

// add notes a value at a place in the text.
func (g *gather) add(line int, field string, value []byte, l snapshot.Looks) {
	p := g.key.Of(value)
	if i, known := g.seen[p]; known {
		if old := &g.out[i]; old.value.Looks == "" {
			old.value.Looks = l
		}
		return
	}
	if len(g.out) >= maxFinds {
		return
	}
	f := find{line: line, print: p, value: snapshot.Value{Field: field, Size: len(value), Looks: l}}
	if g.tell {
		f.value.Prints = g.key.Prints(value)
	}
	g.seen[p] = len(g.out)
	g.out = append(g.out, f)
}

// lineAt is the line of a place. Who asks about one place after the other has the text
// gone through once.
func (g *gather) lineAt(at int) int {
	if at < g.place {
		g.place, g.counted = 0, 0
	}
	g.counted += bytes.Count(g.text[g.place:at], []byte("\n"))
	g.place = at
	return 1 + g.counted
}

// compare looks for values that a cluster has: the words of the text, what stands
// in quotes, whole private keys, and what is base64 of any.
func (g *gather) compare() {
	line := 1
	for rest := g.text; len(rest) > 0; line++ {
		var one []byte
		one, rest, _ = bytes.Cut(rest, []byte("\n"))
		candidates(one, func(word []byte) { g.word(line, word) })
	}
	for _, m := range keys(g.text) {
		block := dedent(g.text[m[0]:m[1]])
		g.hit(g.lineAt(m[0]), block)
	}
}

// word compares one, unless it was before.
func (g *gather) word(line int, word []byte) {
	if len(word) < 6 || len(word) > 4096 {
		return
	}
	h := maphash.Bytes(g.seed, word)
	if _, known := g.known[h]; known {
		return
	}
	if g.hit(line, word) {
		return
	}
	if raw, ok := decoded(word); ok && g.hit(line, raw) {
		return
	}
	if len(g.known) >= maxKnown {
		clear(g.known)
	}
	g.known[h] = struct{}{}
}

// hit notes a value that the cluster has.
func (g *gather) hit(line int, value []byte) bool {
	value = bytes.TrimSpace(value)
	if fingerprint.Weak(value) {
		return false
	}
	if sure, known := g.live[g.key.Of(value)]; !known || !sure && !looks.Odd(string(value)) {
		return false
	}
	g.add(line, "", value, "")
	return true
}

// quoted calls f with what stands between each two quotes.
func quoted(line []byte, quote byte, f func([]byte)) {
	_, rest, found := bytes.Cut(line, []byte{quote})
	for found {
		var text []byte
		if text, rest, found = bytes.Cut(rest, []byte{quote}); found {
			f(text)
		}
	}
}

// cutLast cuts at the last sep; without one, before is empty.
func cutLast(text []byte, sep byte) (before, after []byte, found bool) {
	i := bytes.LastIndexByte(text, sep)
	if i < 0 {
		return nil, text, false
	}
	return text[:i], text[i+1:], true
}

// candidates calls f with what may be a value in a line: words, what stands in
// quotes, what follows = or :, and the password of a URL.
func candidates(line []byte, f func([]byte)) {
	for _, quote := range []byte{'"', '\'', '`'} {
		quoted(line, quote, f)
	}
	for word := range bytes.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(" \t\r\"'`,;()[]{}<>", r) }) {
		f(word)
		for _, by := range []string{"=", ":"} {
			if _, after, ok := bytes.Cut(word, []byte(by)); ok {
				f(after)
			}
		}
		if _, after, ok := bytes.Cut(word, []byte("://")); ok {
			login, _, _ := cutLast(after, '@')
			if _, password, ok := bytes.Cut(login, []byte(":")); ok {
				f(password)
			}
		}
	}
	// All that follows the first = or :, with spaces in it.
	for _, by := range []string{"=", ": "} {
		if _, after, ok := bytes.Cut(line, []byte(by)); ok {
			f(bytes.Trim(bytes.TrimSpace(after), "\"'"))
		}
	}
}
