package jwt

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// maxJWT is far above what any issuer makes.
const maxJWT = 64 << 10

// claims are what a JWT says; numbers stay as they are written.
type claims map[string]any

func parseClaims(payload []byte) (claims, error) {
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.UseNumber()
	var c claims
	if d.Decode(&c) != nil || c == nil {
		return nil, errs.New(errs.Denied, "error validating token: its payload is not a JSON object")
	}
	return c, nil
}

// find returns the claim called name; one that begins with a slash is a JSON
// pointer (RFC 6901). nil: absent.
func (c claims) find(name string) any {
	if !strings.HasPrefix(name, "/") {
		return c[name]
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name[1:], "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch v := at.(type) {
		case map[string]any:
			at = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// text returns a claim that is a string, number or boolean.
func (c claims) text(name string) (string, bool) { return scalar(c.find(name)) }

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// list returns a claim that is one scalar or a list of them.
func (c claims) list(name string) []string { return scalars(c.find(name)) }

func scalars(v any) []string {
	if s, ok := scalar(v); ok {
		return []string{s}
	}
	items, _ := v.([]any)
	var out []string
	for _, item := range items {
		if s, ok := scalar(item); ok {
			out = append(out, s)
		}
	}
	return out
}

// seconds returns a NumericDate (RFC 7519, 2); ok is false if it is absent.
func (c claims) seconds(name string) (at time.Time, ok bool, err error) {
	v, present := c[name]
	if !present || v == nil {
		return time.Time{}, false, nil
	}
	n, isNumber := v.(json.Number)
	f, parseErr := strconv.ParseFloat(string(n), 64)
	if !isNumber || parseErr != nil || math.Abs(f) > 1e12 {
		return time.Time{}, false, errs.Newf(errs.Denied, "error validating token: the %s claim is not a time", name)
	}
	return time.Unix(int64(f), 0), true, nil
}

// checkTimes refuses what is over or not valid yet. A token without exp ends the
// role's leeway after it began.
func (c claims) checkTimes(now time.Time, r *role) error {
	expires, ends, err := c.seconds("exp")
	if err != nil {
		return err
	}
	begins, hasBegin, err := c.seconds("nbf")
	if err != nil {
		return err
	}
	issued, hasIssued, err := c.seconds("iat")
	if err != nil {
		return err
	}
	if !ends && !hasBegin && !hasIssued {
		return errs.New(errs.Denied, "error validating token: it has neither an exp, nbf nor iat claim")
	}
	if !ends {
		expires = begins
		if issued.After(expires) {
			expires = issued
		}
		expires = expires.Add(leeway(r.ExpLeeway, 150*time.Second))
	}
	skew := leeway(r.ClockSkew, time.Minute)
	if now.After(expires.Add(skew)) {
		return errs.New(errs.Denied, "error validating token: it has expired: get a new one")
	}
	// Zero times, of claims that are not there, are long ago.
	if now.Before(begins.Add(-skew)) {
		return errs.New(errs.Denied, "error validating token: it is not valid yet: compare the clocks of this server and of the issuer")
	}
	if now.Before(issued.Add(-skew - leeway(r.NotBeforeLeeway, 150*time.Second))) {
		return errs.New(errs.Denied, "error validating token: it was issued in the future: compare the clocks of this server and of the issuer")
	}
	return nil
}

// leeway is def where nothing is set, and none where it is negative.
func leeway(seconds int64, def time.Duration) time.Duration {
	switch {
	case seconds < 0:
		return 0
	case seconds == 0:
		return def
	}
	return time.Duration(seconds) * time.Second
}

// fits reports whether a claim's values are what is asked for: one of them must
// equal, or fit as a glob, one of wanted.
func fits(values, wanted []string, globs bool) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool {
			return v == w || globs && grant.Glob(w, v)
		})
	})
}
