package pki

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// severity is how bad a finding is.
type severity int

const (
	fine severity = iota
	informational
	warning
	critical
	never // for -fail-on alone
)

func (s severity) String() string {
	return [...]string{"ok", "informational", "warning", "critical", "never"}[s]
}

// MarshalText writes it by name.
func (s severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func parseSeverity(text string) (severity, error) {
	for s := informational; s <= never; s++ {
		if text == s.String() {
			return s, nil
		}
	}
	return 0, errs.Newf(errs.Invalid, "-fail-on %q: use informational, warning, critical or never", text)
}

// finding is what a check says of one thing.
type finding struct {
	Check    string   `json:"check"`
	On       string   `json:"on"` // path below the mount
	Severity severity `json:"severity"`
	Message  string   `json:"message"`
}

const day = 24 * time.Hour

// checkIssuer says how near an issuer's end is. What lives shortly is measured by its
// own life: days that are few for a root are many for an intermediate of a month.
func checkIssuer(i *issuer, now time.Time) finding {
	f := finding{Check: "ca_validity", On: "issuer/" + i.label()}
	left, life := i.cert.NotAfter.Sub(now), i.cert.NotAfter.Sub(i.cert.NotBefore)
	limits := [...]time.Duration{critical: 30 * day, warning: 60 * day, informational: 180 * day}
	if i.isRoot() {
		limits = [...]time.Duration{critical: 180 * day, warning: 365 * day, informational: 730 * day}
	}
	fractions := [...]time.Duration{critical: 12, warning: 6, informational: 3}
	for s := critical; s > fine && f.Severity == fine; s-- {
		if left < min(limits[s], life/fractions[s]) {
			f.Severity = s
		}
	}
	f.Message = fmt.Sprintf("valid for %s", span(left))
	switch {
	case i.revoked:
		f.Severity, f.Message = fine, "revoked: it issues nothing"
	case left <= 0:
		f.Severity, f.Message = critical, fmt.Sprintf("ended %s ago: delete it, or make another and the default", span(-left))
	case f.Severity > fine:
		f.Message += ": make its successor now (root/rotate, or a new intermediate)"
	}
	return f
}

// span is a duration in days, or in hours and minutes if it is short.
func span(d time.Duration) string {
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Truncate(time.Minute).String()
}

// checkCRL says whether a CRL is renewed in time; it is due grace before its end.
func checkCRL(on string, crl *x509.RevocationList, grace time.Duration, now time.Time) finding {
	f := finding{Check: "crl_validity", On: on}
	left, life := crl.NextUpdate.Sub(now), crl.NextUpdate.Sub(crl.ThisUpdate)
	age := fmt.Sprintf("made %s ago, next update in %s", span(now.Sub(crl.ThisUpdate)), span(left))
	switch {
	case left <= 0:
		f.Severity, f.Message = critical, fmt.Sprintf("ended %s ago: build it (crl/rotate) and read the server's log", span(-left))
	case left < min(grace, life/2)/2:
		f.Severity, f.Message = warning, age+": it should have been renewed already"
	default:
		f.Message = age
	}
	return f
}

func checkTidy(config map[string]any) finding {
	f := finding{Check: "auto_tidy", On: "config/auto-tidy", Message: "on"}
	switch {
	case config["enabled"] != true:
		f.Severity, f.Message = warning, "off: expired certificates are kept for ever; set enabled=true tidy_cert_store=true tidy_revoked_certs=true"
	case config["tidy_cert_store"] != true || config["tidy_revoked_certs"] != true:
		f.Severity, f.Message = informational, "on, but tidy_cert_store and tidy_revoked_certs are not both true"
	}
	return f
}

// longest is what browsers accept of a server's certificate.
const longest = 398 * day

// checkRole says what is wide about a role; one finding for each, or that it is fine.
func checkRole(name string, role map[string]any, now time.Time) []finding {
	on := "roles/" + name
	var out []finding
	add := func(check string, s severity, message string) {
		out = append(out, finding{Check: check, On: on, Severity: s, Message: message})
	}
	if role["allow_any_name"] == true {
		add("role_any_name", warning, "allow_any_name: who may use it may be anybody; set allowed_domains instead")
	}
	if role["allow_glob_domains"] == true {
		add("role_glob_domains", informational, "allow_glob_domains: a * in allowed_domains matches dots, too")
	}
	end, _ := time.Parse(time.RFC3339, session.Text(role["not_after"]))
	ttl := max(seconds(role["ttl"]), seconds(role["max_ttl"]))
	switch {
	case ttl > longest || end.Sub(now) > longest:
		add("role_ttl", warning, "certificates may be valid for more than 398 days: lower max_ttl, or not_after")
	case seconds(role["max_ttl"]) == 0 && end.IsZero():
		add("role_ttl", informational, "no max_ttl: certificates may last as long as the mount allows")
	}
	if out == nil {
		add("role", fine, "names and lifetimes are bounded")
	}
	return out
}

// seconds reads a number of seconds.
func seconds(v any) time.Duration {
	n, ok := v.(interface{ Int64() (int64, error) })
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return time.Duration(i) * time.Second
}

// From how many certificates on a store is large.
const (
	manyCerts    = 50_000
	tooManyCerts = 250_000
)

func checkStore(count int) finding {
	f := finding{Check: "stored_certificates", On: "certs", Message: fmt.Sprintf("%d certificates", count)}
	const advice = "; tidy more often, issue shorter ones only with no_store, or both"
	switch {
	case count >= tooManyCerts:
		f.Severity, f.Message = critical, fmt.Sprintf("%d certificates or more", tooManyCerts)+advice
	case count >= manyCerts:
		f.Severity, f.Message = warning, f.Message+advice
	}
	return f
}
