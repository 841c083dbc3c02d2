package webhookcall

import (
	"context"
	"net/http"
	"strings"

	"github.com/Azure/go-ntlmssp"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Auth is a login other than by a header.
type Auth struct {
	NTLM *NTLM `json:"ntlm,omitempty"`
}

// NTLM is a login of Windows. Both Secrets need the label of those that templates use:
// what is sent is enough to guess at the password.
type NTLM struct {
	Username v1.SecretKeySelector `json:"usernameSecret"` // of a value such as DOMAIN\user
	Password v1.SecretKeySelector `json:"passwordSecret"`
}

// user is who logs in by NTLM.
type user struct{ name, password redact.Secret }

// readUser returns who spec says logs in by NTLM; nil: nobody.
func readUser(ctx context.Context, spec Spec, cfg provider.Config) (*user, error) {
	if spec.Auth == nil {
		return nil, nil //nolint:nilnil // headers log in
	}
	field := spec.Field + "auth.ntlm"
	if spec.Auth.NTLM == nil {
		return nil, errs.Newf(errs.Invalid, "%s is missing: give it, or take auth away", field)
	}
	for name := range spec.Headers {
		if strings.EqualFold(name, "Authorization") {
			return nil, errs.Newf(errs.Invalid, "%sheaders has %s, and %s logs in too: keep one", spec.Field, name, field)
		}
	}
	var u user
	for _, part := range []struct {
		field string
		sel   v1.SecretKeySelector
		into  *redact.Secret
	}{{field + ".usernameSecret", spec.Auth.NTLM.Username, &u.name}, {field + ".passwordSecret", spec.Auth.NTLM.Password, &u.password}} {
		if part.sel.Name == "" || part.sel.Key == "" {
			return nil, errs.Newf(errs.Invalid, "%s: name and key are needed", part.field)
		}
		data, err := labelled(ctx, part.field, part.sel, cfg)
		if err != nil {
			return nil, err
		}
		if *part.into = data[part.sel.Key]; part.into.Empty() {
			return nil, provider.Reference(errs.Newf(errs.Unavailable, "%s: Secret %q has no key %q: add it, or correct the reference", part.field, part.sel.Name, part.sel.Key))
		}
	}
	if strings.Contains(u.name.RevealString(), ":") {
		return nil, errs.Newf(errs.Invalid, "%s.usernameSecret: no name of a user has a colon", field)
	}
	return &u, nil
}

// send makes req with a login by NTLM, which is a matter of a connection. It must not be
// another request's between its messages, so each has one of its own, until done.
func (u *user) send(out outbound.Config, req *http.Request) (answer *http.Response, done func(), err error) {
	out.HTTP1, out.Idle = true, 1
	client, err := outbound.Client(out)
	if err != nil {
		return nil, func() {}, err
	}
	last := &heard{next: client.Transport}
	done = client.CloseIdleConnections
	client = &http.Client{Transport: ntlmssp.Negotiator{RoundTripper: last}, Timeout: client.Timeout, CheckRedirect: client.CheckRedirect}
	req.SetBasicAuth(u.name.RevealString(), u.password.RevealString()) // where the Negotiator takes them from, and sends neither
	if answer, err = client.Do(req); err != nil {
		return nil, done, unreached(req, err)
	}
	if answer.StatusCode != http.StatusUnauthorized {
		return answer, done, nil
	}
	_ = answer.Body.Close()
	switch {
	case last.failed != nil: // instead of which the Negotiator returns the answer before
		err = unreached(req, last.failed)
	case !last.asks:
		err = errs.New(errs.Denied, "the webhook answers 401 and does not ask for NTLM: log in by a header")
	default:
		err = errs.New(errs.Denied, "the webhook answers 401 to a login by NTLM: check the user and the password; it must take NTLMv2 without channel binding")
	}
	return nil, done, err
}

// heard is a RoundTripper that remembers what a Negotiator does not tell.
type heard struct {
	next   http.RoundTripper
	failed error // of the last request
	asks   bool  // an answer names NTLM as a way to log in
}

// RoundTrip implements http.RoundTripper. One request is made after the other.
func (h *heard) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := h.next.RoundTrip(req)
	if h.failed = err; err != nil {
		return nil, err
	}
	for _, way := range answer.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(way, " ")
		h.asks = h.asks || scheme == "NTLM" || scheme == "Negotiate"
	}
	return answer, nil
}
