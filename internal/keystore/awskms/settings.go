package awskms

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
	// Region; default: that of Key, if it is an ARN.
	Region string `json:"region,omitzero"`
	// Key is the ARN or the id of a key, symmetric and for encryption. It has one
	// version. Or:
	Key string `json:"key,omitzero"`
	// Alias is such as alias/kubernetes: the versions are the keys behind the aliases
	// alias/kubernetes/1, alias/kubernetes/2 and so on.
	Alias string `json:"alias,omitzero"`
	// Endpoint of KMS, such as that of a VPC endpoint; default: AWS's own.
	Endpoint string `json:"endpoint,omitzero"`
	// Role is the ARN of a role to assume; default: none.
	Role string `json:"role,omitzero"`
	// STSEndpoint is where Role is assumed; default: AWS's own.
	STSEndpoint string `json:"sts_endpoint,omitzero"`
	// CredentialsFile has the key that signs, in the format of AWS's own tools, read at
	// each login; default: what the environment or the machine says.
	CredentialsFile string `json:"credentials_file,omitzero"`
	// Timeout of a call, a Go duration; default 2s, less than an API server's patience.
	Timeout string `json:"timeout,omitzero"`

	timeout time.Duration
	id      string // of Key
}

const defaultTimeout = 2 * time.Second

var (
	arns    = regexp.MustCompile(`^arn:aws[a-z-]{0,20}:kms:([a-z0-9-]{1,40}):[0-9]{12}:key/(.+)$`)
	regions = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	aliases = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,180}$`)
	roles   = regexp.MustCompile(`^arn:aws[a-z-]{0,20}:iam::[0-9]{12}:role/.+$`)
)

func parse(raw []byte) (Settings, error) {
	var s Settings
	if err := keystore.Decode(raw, &s); err != nil {
		return s, err
	}
	if err := s.which(); err != nil {
		return s, err
	}
	if !regions.MatchString(s.Region) {
		return s, errs.Newf(errs.Invalid, "region %q must be such as eu-central-1", s.Region)
	}
	for name, at := range map[string]string{"endpoint": s.Endpoint, "sts_endpoint": s.STSEndpoint} {
		if err := checkEndpoint(name, at); err != nil {
			return s, err
		}
	}
	if s.Role != "" && !roles.MatchString(s.Role) {
		return s, errs.Newf(errs.Invalid, "role %q is no ARN of a role", s.Role)
	}
	var err error
	if s.timeout, err = time.ParseDuration(cmp.Or(s.Timeout, defaultTimeout.String())); err != nil || s.timeout <= 0 {
		return s, errs.Newf(errs.Invalid, "timeout %q: use a positive duration such as 2s", s.Timeout)
	}
	return s, nil
}

// which reads key and alias.
func (s *Settings) which() error {
	switch {
	case (s.Key == "") == (s.Alias == ""):
		return errs.New(errs.Invalid, "one of key and alias says which key")
	case s.Alias != "":
		if !aliases.MatchString(s.Alias) || s.Alias[len(s.Alias)-1] == '/' {
			return errs.Newf(errs.Invalid, "alias %q must be such as alias/kubernetes, whose versions are alias/kubernetes/1 and so on", s.Alias)
		}
		return nil
	}
	s.id = s.Key
	if m := arns.FindStringSubmatch(s.Key); m != nil {
		s.Region = cmp.Or(s.Region, m[1])
		if s.Region != m[1] {
			return errs.Newf(errs.Invalid, "region is %s, and key is one of %s", s.Region, m[1])
		}
		s.id = m[2]
	}
	if !keyIDs.MatchString(s.id) {
		return errs.Newf(errs.Invalid, "key %q is neither the ARN nor the id of a key; an alias, which may be one of another key tomorrow, goes into alias", s.Key)
	}
	return nil
}

func checkEndpoint(name, at string) error {
	if at == "" {
		return nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errs.Newf(errs.Invalid, "%s must be https://HOST: keys would go over the network in plain text", name)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
