package gcpkms

import (
	"cmp"
	"net"
	"net/url"
	"regexp"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Settings say which key, and how to get at it.
type Settings struct {
	// Key is its name, without a version, such as
	// projects/P/locations/europe-west3/keyRings/R/cryptoKeys/K.
	Key string `json:"key"`
	// CredentialsFile has the key of a service account, as Google gives it, read at each
	// login; default: that of GOOGLE_APPLICATION_CREDENTIALS, or the machine's identity.
	CredentialsFile string `json:"credentials_file,omitzero"`
	// Endpoint of the service; default: Google's own.
	Endpoint string `json:"endpoint,omitzero"`
	// Timeout of a call, a Go duration; default 2s, less than an API server's patience.
	Timeout string `json:"timeout,omitzero"`

	timeout time.Duration
}

const defaultTimeout = 2 * time.Second

var names = regexp.MustCompile(`^projects/[a-z0-9.:-]{1,63}/locations/[a-z0-9-]{1,40}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}$`)

func parse(raw []byte) (Settings, error) {
	var s Settings
	if err := keystore.Decode(raw, &s); err != nil {
		return s, err
	}
	if len(s.Key) > 255 || !names.MatchString(s.Key) {
		return s, errs.Newf(errs.Invalid, "key %q must be such as projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version", s.Key)
	}
	if err := checkEndpoint(s.Endpoint); err != nil {
		return s, err
	}
	var err error
	if s.timeout, err = time.ParseDuration(cmp.Or(s.Timeout, defaultTimeout.String())); err != nil || s.timeout <= 0 {
		return s, errs.Newf(errs.Invalid, "timeout %q: use a positive duration such as 2s", s.Timeout)
	}
	return s, nil
}

func checkEndpoint(at string) error {
	if at == "" {
		return nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errs.New(errs.Invalid, "endpoint must be https://HOST: keys and tokens would go over the network in plain text")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
