package notice

import (
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Cut returns what stands in an address behind the name of a kind of queue.
func Cut(address, kind, example string) (string, error) {
	rest, ok := strings.CutPrefix(address, kind+":")
	if !ok || rest == "" {
		return "", errs.Newf(errs.Invalid, "%q is no queue of this store: give %s:%s, or webhook:SECRET/KEY", address, kind, example)
	}
	return rest, nil
}

// URL reads the address of a queue that is one of a cloud: https, a host, a path, and
// nothing else.
func URL(address, kind, example string) (*url.URL, error) {
	rest, err := Cut(address, kind, example)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(rest)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Port() != "" || u.RawPath != "" {
		return nil, errs.Newf(errs.Invalid, "%q is no address of a queue: give %s:%s", address, kind, example)
	}
	return u, nil
}
