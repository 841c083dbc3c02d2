package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// refRule and the functions below are §2.3 written down as plainly as it can
// be: no index, no sharing, every rule looked at.
type refRule struct {
	path string
	caps Capability
}

func (r refRule) exact() bool {
	return !strings.HasSuffix(r.path, "*") && !slices.Contains(strings.Split(r.path, "/"), "+")
}

func (r refRule) matches(path string) bool { return refMatch(r.path, path, true) }

// refMatch matches byte by byte; start says that pattern is at the start of a segment.
func refMatch(pattern, path string, start bool) bool {
	switch {
	case pattern == "*":
		return true
	case start && (pattern == "+" || strings.HasPrefix(pattern, "+/")):
		for i := 0; ; i++ { // "+" stands for the first i bytes
			if refMatch(pattern[1:], path[i:], false) {
				return true
			}
			if i == len(path) || path[i] == '/' {
				return false
			}
		}
	case pattern == "" || path == "":
		return pattern == path
	}
	return pattern[0] == path[0] && refMatch(pattern[1:], path[1:], pattern[0] == '/')
}

func (r refRule) firstWild() int {
	text, _ := strings.CutSuffix(r.path, "*")
	if i := strings.Index("/"+text+"/", "/+/"); i >= 0 {
		return i
	}
	return len(text)
}

func (r refRule) plus() int {
	n := 0
	for _, segment := range strings.Split(strings.TrimSuffix(r.path, "*"), "/") {
		if segment == "+" {
			n++
		}
	}
	return n
}

func refInexact(rules []refRule, path string) *refRule {
	var matching []refRule
	for _, r := range rules {
		if !r.exact() && r.matches(path) {
			matching = append(matching, r)
		}
	}
	if len(matching) == 0 {
		return nil
	}
	slices.SortFunc(matching, func(a, b refRule) int { // the winner comes first
		globA, globB := strings.HasSuffix(a.path, "*"), strings.HasSuffix(b.path, "*")
		switch {
		case a.firstWild() != b.firstWild():
			return b.firstWild() - a.firstWild()
		case globA != globB && globB:
			return -1
		case globA != globB:
			return 1
		case a.plus() != b.plus():
			return a.plus() - b.plus()
		case len(a.path) != len(b.path):
			return len(b.path) - len(a.path)
		}
		return strings.Compare(b.path, a.path)
	})
	return &matching[0]
}

func refExact(rules []refRule, path string) *refRule {
	for _, r := range rules {
		if r.exact() && r.path == path {
			return &r
		}
	}
	return nil
}

func refMerge(blocks []refRule) []refRule {
	var merged []refRule
	for _, b := range blocks {
		i := slices.IndexFunc(merged, func(r refRule) bool { return r.path == b.path })
		if i < 0 {
			merged = append(merged, refRule{b.path, 0})
			i = len(merged) - 1
		}
		merged[i].caps |= b.caps
	}
	for i := range merged {
		if merged[i].caps&Deny != 0 {
			merged[i].caps = Deny
		}
	}
	return merged
}

func refDecide(rules []refRule, path string, want Capability) (allowed bool, rule string) {
	r := refExact(rules, path)
	if r == nil && want == List {
		r = refExact(rules, strings.TrimSuffix(path, "/"))
	}
	if r == nil {
		r = refInexact(rules, path)
	}
	if r == nil && want == List {
		r = refInexact(rules, strings.TrimSuffix(path, "/"))
	}
	if r == nil {
		return false, ""
	}
	return r.caps&want != 0 && r.caps&Deny == 0, r.path
}

// world is a random set of policies and of paths to ask about, drawn from so
// few names that patterns collide all the time.
type world struct{ next func(n int) int }

func (w world) path(wild bool) string {
	names := []string{"a", "b", "ab", "abc", "a+", "a", "b", ""}
	if wild {
		names = append(names, "+", "+", "+")
	}
	parts := make([]string, 1+w.next(5))
	for i := range parts {
		parts[i] = names[w.next(len(names))]
	}
	return strings.TrimLeft(strings.Join(parts, "/"), "/")
}

func (w world) pattern() string {
	for {
		p := w.path(true)
		if w.next(3) == 0 && !strings.HasSuffix(p, "+") {
			p += "*"
		}
		if p != "" {
			return p
		}
	}
}

func (w world) policies() (texts []string, blocks []refRule) {
	for range 1 + w.next(3) {
		var b strings.Builder
		for range w.next(8) {
			r := refRule{w.pattern(), Capability(w.next(256)) & (Read | List | Create)}
			if w.next(5) == 0 {
				r.caps |= Deny
			}
			blocks = append(blocks, r)
			fmt.Fprintf(&b, "path %q { capabilities = [%s] }\n", r.path, quoted(r.caps))
		}
		texts = append(texts, b.String()+"#")
	}
	return texts, refMerge(blocks)
}

func quoted(c Capability) string {
	if c == 0 {
		return ""
	}
	return `"` + strings.Join(c.Names(), `","`) + `"`
}

// compare asks the fast and the plain one the same n questions. It returns how
// many were allowed.
func (w world) compare(t *testing.T, n int) (allowed int) {
	texts, rules := w.policies()
	var policies []*Policy
	for i, text := range texts {
		policies = append(policies, parse(t, fmt.Sprint("p", i), text))
	}
	acl := Compile(policies...)
	for range n {
		path := w.path(false)
		want := []Capability{Read, List, Create}[w.next(3)]
		if want == List || w.next(4) == 0 {
			path += "/"
		}
		path = strings.TrimLeft(path, "/")
		ok, rule := refDecide(rules, path, want)
		d := acl.Decide(Query{Path: path, Want: want})
		if d.Allowed != ok || d.Rule != rule {
			t.Fatalf("%v %q: %v by %q; by the rules it is %v by %q\n%s", want, path, d.Allowed, d.Rule, ok, rule, strings.Join(texts, "\n"))
		}
		if ok {
			allowed++
			if folder, _, below := strings.Cut(path, "/"); below && folder != "" && !acl.AnyUnder(folder) {
				t.Fatalf("%v %q is allowed, AnyUnder(%q) is false\n%s", want, path, folder, strings.Join(texts, "\n"))
			}
		}
	}
	return allowed
}

func TestDecideAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 26))
	worlds, questions := 4000, 60
	if testing.Short() {
		worlds = 400
	}
	allowed := 0
	for range worlds {
		allowed += world{rng.IntN}.compare(t, questions)
	}
	if allowed < worlds {
		t.Errorf("only %d of %d were allowed: the worlds are too poor to tell anything", allowed, worlds*questions)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte("\x01\x03\x04\x00\x08\x02\x01"))
	f.Add([]byte("the quick brown fox jumps over the lazy dog"))
	f.Add([]byte{0, 7, 2, 8, 1, 9, 0, 255, 3, 10, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		at := 0
		next := func(n int) int {
			v := int(data[at%len(data)]) + at/len(data) // bytes come round changed, so that no loop is endless
			at++
			return v % n
		}
		world{next}.compare(t, 10)
	})
}
