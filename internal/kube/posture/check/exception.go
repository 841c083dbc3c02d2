package check

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// cover is which findings exceptions cover.
type cover struct {
	valid []Exception
	used  []bool
	ended []Exception
}

func newCover(exceptions []Exception, now time.Time) *cover {
	c := &cover{}
	for _, e := range exceptions {
		if now.Before(e.Until) {
			c.valid = append(c.valid, e)
		} else {
			c.ended = append(c.ended, e)
		}
	}
	c.used = make([]bool, len(c.valid))
	return c
}

// take returns the first exception that covers f, and notes all that do.
func (c *cover) take(f *Finding, print string) *Exception {
	var found *Exception
	for i := range c.valid {
		if !c.valid[i].covers(f, print) {
			continue
		}
		c.used[i] = true
		if found == nil {
			found = &c.valid[i]
		}
	}
	return found
}

// idle are the exceptions that cover nothing, as far as their checks were asked.
func (c *cover) idle(asked map[string]bool) []Exception {
	var out []Exception
	for i, e := range c.valid {
		if !c.used[i] && (e.Check == "" || asked[e.Check]) {
			out = append(out, e)
		}
	}
	return out
}

// covers reports whether e is about f.
func (e *Exception) covers(f *Finding, print string) bool {
	if e.Fingerprint != "" && e.Fingerprint != print || e.Check != "" && e.Check != f.Check {
		return false
	}
	for _, pair := range [][2]string{{e.Rule, f.Rule}, {e.Kind, f.Object.Kind}, {e.Namespace, f.Object.Namespace}, {e.Name, f.Object.Name}} {
		if pair[0] == "" {
			continue
		}
		if ok, err := path.Match(pair[0], pair[1]); err != nil || !ok {
			return false
		}
	}
	return true
}

// exceptionFile is what a file of exceptions looks like, YAML or JSON:
//
//	exceptions:
//	- check: SEC-09
//	  namespace: legacy-*
//	  owner: team-payments
//	  reason: the vendor's image reads variables only
//	  until: 2027-03-31
type exceptionFile struct {
	Exceptions []exceptionEntry `json:"exceptions"`
}

type exceptionEntry struct {
	Exception
	Until string `json:"until"`
}

// maxFile bounds a file of exceptions, in bytes.
const maxFile = 64 << 20

// ReadExceptions reads a file of exceptions. name is for errors, which are Invalid.
func ReadExceptions(name string, from io.Reader) ([]Exception, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxFile))
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading exceptions of %s: %w", name, err)
	}
	var file exceptionFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, errs.Newf(errs.Invalid, "reading exceptions of %s: %w; see docs/checks/README.md", name, err)
	}
	out := make([]Exception, 0, len(file.Exceptions))
	for i := range file.Exceptions {
		e, wrong := file.Exceptions[i].read()
		if wrong != "" {
			return nil, errs.Newf(errs.Invalid, "%s: exception %d: %s", name, i+1, wrong)
		}
		out = append(out, e)
	}
	return out, nil
}

// read returns the exception, or what is wrong with it.
func (x *exceptionEntry) read() (e Exception, wrong string) {
	e = x.Exception
	switch {
	case e.Check == "" && e.Fingerprint == "":
		return e, "say which check or fingerprint it is about"
	case strings.TrimSpace(e.Owner) == "":
		return e, "say its owner"
	case strings.TrimSpace(e.Reason) == "":
		return e, "say the reason"
	}
	for _, p := range []string{e.Rule, e.Kind, e.Namespace, e.Name} {
		if _, err := path.Match(p, ""); err != nil {
			return e, fmt.Sprintf("%q is no pattern: use * and ? as in a shell", p)
		}
	}
	until, err := day(x.Until)
	if err != nil {
		return e, "until has to be a day such as 2027-03-31: an exception without an end is none"
	}
	e.Until = until
	return e, ""
}

// day is the end of a day in UTC, or a time as it is.
func day(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	return t.AddDate(0, 0, 1), err
}
