package denied

import (
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// Ask is a request that was refused.
type Ask struct {
	access.Request
	User string
}

// forbidden is what the API server answers with, whatever the program that shows it
// writes before and after.
var (
	forbidden = regexp.MustCompile(`[Uu]ser "([^"]+)" cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"| at the cluster scope)?`)
	named     = regexp.MustCompile(`(?:^|[\s:])([a-z0-9./-]+) "([^"]+)" is forbidden`)
	pathOf    = regexp.MustCompile(`[Uu]ser "([^"]+)" cannot (\S+) path "([^"]+)"`)
)

// Parse finds in text what the API server said. Quotes that a log has escaped count
// as quotes.
func Parse(text string) (Ask, error) {
	text = strings.ReplaceAll(text, `\"`, `"`)
	if m := pathOf.FindStringSubmatch(text); m != nil {
		return Ask{access.Request{Verb: m[2], Path: m[3]}, m[1]}, nil
	}
	m := forbidden.FindStringSubmatch(text)
	if m == nil {
		return Ask{}, errs.New(errs.Invalid, `this is no refusal of the API server: give the words 'User "NAME" cannot VERB resource "…" in API group "…"', or -as, -verb and -resource`)
	}
	a := Ask{access.Request{Verb: m[2], Resource: m[3], Group: m[4], Namespace: m[5]}, m[1]}
	a.Resource, a.Subresource, _ = strings.Cut(a.Resource, "/")
	if n := named.FindStringSubmatch(text); n != nil && a.Verb != "list" && a.Verb != "watch" && a.Verb != "create" && a.Verb != "deletecollection" {
		a.Name = n[2]
	}
	return a, nil
}

// Subject is who asks.
func (a Ask) Subject() access.Subject { return access.User(a.User).Canonical() }

// resource is the resource with its subresource, as rules have it.
func (a Ask) resource() string {
	if a.Subresource == "" {
		return a.Resource
	}
	return a.Resource + "/" + a.Subresource
}

// String is what was asked, for people.
func (a Ask) String() string {
	if a.Path != "" {
		return a.Verb + " " + a.Path
	}
	what := a.Verb + " " + a.resource()
	if a.Group != "" {
		what += "." + a.Group
	}
	if a.Name != "" {
		what += " " + a.Name
	}
	if a.Namespace == "" {
		return what + " in the whole cluster"
	}
	return what + " in namespace " + a.Namespace
}
