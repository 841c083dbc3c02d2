package provider

import (
	"math"
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bounds of a gjson path, which whoever writes an ExternalSecret chooses, over a value
// that the same may have chosen: gjson itself has none, and a path of 300 bytes can
// make gigabytes of ten.
const (
	longestGPath = 1024 // bytes
	mostDots     = 100  // each may have the rest of the value read once more
	mostAts      = 16   // each may be a modifier, which reads the whole value
	mostPicked   = 16 << 20
)

// greedy are the modifiers whose result can be much larger than what they are given.
var greedy = regexp.MustCompile(`@(pretty|dig|group)\b|@tostr\b.*@tostr\b`)

// checkGPath refuses paths that could take too long or too much memory over a value of
// so many bytes. Its errors are Invalid.
func checkGPath(path string, size int) error {
	switch {
	case len(path) > longestGPath:
		return errs.Newf(errs.Invalid, "property %.40q… has %d bytes: a path has at most %d", path, len(path), longestGPath)
	case strings.Count(path, ".") > mostDots, strings.Count(path, "@") > mostAts:
		return errs.Newf(errs.Invalid, "property %.40q… has too many parts: a path has at most %d dots and %d modifiers", path, mostDots, mostAts)
	case greedy.MatchString(path):
		return errs.Newf(errs.Invalid, "property %q: the modifiers @pretty, @dig and @group, and @tostr twice, are not supported: use a template", path)
	case copies(path)*float64(size+len(path)) > mostPicked:
		return errs.Newf(errs.Invalid, "property %q: it puts too many parts of the value together: use a template", path)
	}
	return nil
}

// copies bounds how many times a value may be in what a path makes of it. What puts
// several parts together is in brackets or braces, with commas between; one may be in
// another, or be applied to what another made. With c commas in k of them that is most
// where each has as many.
func copies(path string) float64 {
	k := float64(strings.Count(path, "[") + strings.Count(path, "{"))
	if k == 0 {
		return 1
	}
	return math.Pow(float64(strings.Count(path, ","))/k+1, k)
}
