package template

import (
	"regexp"
	"regexp/syntax"
	"time"
)

const (
	longestPattern  = 1 << 10  // bytes
	mostGroups      = 64       // each is copied with every step of a match
	largestProgram  = 20_000   // instructions
	mostMatchSteps  = 16 << 20 // instructions times bytes of text: what looking for one match costs at most
	matchesPerClock = 64
)

// regexps are sprig's functions with bounds. An expression that is wrong is an
// error in all of them, where some of sprig's panic and some say no.
func (b *budget) regexps() map[string]any {
	match := func(pattern, s string) (bool, error) {
		re, err := b.expression(pattern, s)
		return err == nil && re.MatchString(s), err
	}
	find := func(pattern, s string) (string, error) {
		re, err := b.expression(pattern, s)
		if err != nil {
			return "", err
		}
		return re.FindString(s), nil
	}
	findAll := func(pattern, s string, n int) ([]string, error) {
		re, err := b.rehearsed(pattern, s, 24, n)
		if err != nil {
			return nil, err
		}
		return re.FindAllString(s, n), nil
	}
	split := func(pattern, s string, n int) ([]string, error) {
		re, err := b.rehearsed(pattern, s, 48, n)
		if err != nil {
			return nil, err
		}
		return re.Split(s, n), nil
	}
	return map[string]any{
		"regexMatch": match, "mustRegexMatch": match,
		"regexFind": find, "mustRegexFind": find,
		"regexFindAll": findAll, "mustRegexFindAll": findAll,
		"regexSplit": split, "mustRegexSplit": split,
		"regexReplaceAll": b.replaceAll, "mustRegexReplaceAll": b.replaceAll,
		"regexReplaceAllLiteral": b.replaceAllLiteral, "mustRegexReplaceAllLiteral": b.replaceAllLiteral,
	}
}

// expression compiles pattern if looking for one match of it in s is cheap.
func (b *budget) expression(pattern, s string) (*regexp.Regexp, error) {
	if len(pattern) > longestPattern {
		return nil, &limitError{"a regular expression is longer than 1 KiB"}
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fail("the regular expression is wrong")
	}
	groups := parsed.MaxCap()
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fail("the regular expression is wrong")
	}
	if groups > mostGroups || len(program.Inst) > largestProgram || times(len(program.Inst)*(1+groups/8), len(s)) > mostMatchSteps {
		return nil, &limitError{"a regular expression is too large for the text it is to match"}
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fail("the regular expression is wrong")
	}
	return re, b.late()
}

// rehearsed is expression for a search of n matches, or all when n < 0, of which
// each takes size bytes beside the positions of its groups. Matches may each look at all of s, so that all
// together are quadratic, and package regexp cannot be stopped but from
// a replacement: they are all found once before they are found for use. The
// rehearsal gets a quarter of what time is left, so that the rest is enough for
// the other.
func (b *budget) rehearsed(pattern, s string, size, n int) (re *regexp.Regexp, err error) {
	if re, err = b.expression(pattern, s); err != nil {
		return nil, err
	}
	found := 0
	defer func() {
		switch r := recover().(type) {
		case nil:
		case enough:
			re, err = r.re, r.err
		default:
			panic(r)
		}
	}()
	started := b.now()
	until := started.Add(b.deadline.Sub(started) / 4)
	re.ReplaceAllStringFunc(s, func(string) string {
		if found == n {
			panic(enough{re: re})
		}
		found++
		if b.allow(times(found, size+16*(1+re.NumSubexp()))) != nil {
			panic(enough{err: errProduced()})
		}
		if len(s) > matchesPerClock && !b.now().Before(until) {
			panic(enough{err: slow(b.limits.Time)})
		}
		return ""
	})
	return re, nil
}

// enough ends a rehearsal.
type enough struct {
	re  *regexp.Regexp
	err error
}

func slow(limit time.Duration) error {
	return &limitError{"a regular expression takes too long: the whole template may take " + limit.String()}
}

// replaceAll bounds what comes out: $1 in the replacement may copy all of s for
// every match.
func (b *budget) replaceAll(pattern, s, replacement string) (string, error) {
	re, err := b.rehearsed(pattern, s, 24, -1)
	if err != nil {
		return "", err
	}
	var out []byte
	end := 0
	for _, match := range re.FindAllStringSubmatchIndex(s, -1) {
		out = append(out, s[end:match[0]]...)
		out = re.ExpandString(out, replacement, s, match)
		end = match[1]
		if err := b.allow(len(out)); err != nil {
			return "", err
		}
	}
	return string(append(out, s[end:]...)), nil
}

func (b *budget) replaceAllLiteral(pattern, s, replacement string) (string, error) {
	re, err := b.rehearsed(pattern, s, len(replacement), -1)
	if err != nil {
		return "", err
	}
	return re.ReplaceAllLiteralString(s, replacement), nil
}
