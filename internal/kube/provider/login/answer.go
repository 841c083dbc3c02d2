package login

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Answer is what the last request of a login came to: the errors of libraries tell
// neither kind nor cause, and quote answers. The zero Answer is of no request.
type Answer struct {
	Status int    // of HTTP
	Code   string // of a refusal in the service's own shape; "" is no answer of the service
	Failed error  // why there was no answer
}

// Refused gives a login that failed a kind and a text. who names the service; advice
// says what to do about a refusal.
func (a Answer) Refused(who, doing, advice string) error {
	var dial *url.Error
	switch {
	case errors.As(a.Failed, &dial):
		return errs.Newf(errs.Unavailable, "%s: %s", doing, Plain(dial.Err.Error()))
	case a.Failed != nil:
		return errs.Newf(errs.Unavailable, "%s: %s", doing, Plain(a.Failed.Error()))
	case a.Status == http.StatusTooManyRequests:
		return errs.Newf(errs.Exhausted, "%s: %s says too many requests", doing, who)
	case a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError && a.Code != "":
		return errs.Newf(errs.Unauthenticated, "%s: %s says %s; %s", doing, who, a.Code, advice)
	case a.Status != 0:
		return errs.Newf(errs.Unavailable, "%s: status %d, and no token", doing, a.Status)
	}
	return errs.Newf(errs.Unauthenticated, "%s: there is nothing that can be sent; %s", doing, advice)
}

// maxPlain bounds what others may say in a message, in bytes.
const maxPlain = 256

// Plain makes a text fit for a message.
func Plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxPlain)]
}

// Endpoint reads an address that the operator's environment has under name: TLS, or
// this machine, since credentials are sent there.
func Endpoint(name, at string) (*url.URL, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errs.Newf(errs.Invalid, "%s of the operator is neither https://HOST nor http:// at an address of this machine", name)
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
