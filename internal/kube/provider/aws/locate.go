package aws

import (
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

var _ provider.Locator = (*store)(nil)

// place is where the secrets of a store are.
type place struct {
	service string // of an ARN and of a host's name
	region  string
	prefix  string
	// fixed is whose secrets they are where the settings tell it: an account, or whose
	// identity it is that has one. Otherwise account is, of the role that a ServiceAccount
	// stands for, as it was last read; nil before.
	fixed   string
	account *atomic.Pointer[string]
}

// accounts are within an ARN, such as arn:aws:iam::123456789012:role/reader.
var (
	accounts = regexp.MustCompile(`^arn:[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}):`)
	arns     = regexp.MustCompile(`^arn:[a-z0-9-]+:(secretsmanager|ssm):([a-z0-9-]+):([0-9]{12}):(secret:|parameter)(.+)$`)
	suffix   = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

// accountOf returns the account of an ARN, "" for none.
func accountOf(arn string) string {
	if m := accounts.FindStringSubmatch(arn); m != nil {
		return m[1]
	}
	return ""
}

// placeOf returns where the secrets of a store with these settings are.
func placeOf(s Settings, account *atomic.Pointer[string], namespace string) place {
	p := place{service: "secretsmanager", region: s.Region, prefix: s.Prefix, account: account}
	if s.Service == ParameterStore {
		p.service = "ssm"
	}
	roles := append(s.AdditionalRoles, s.Role)
	for i := len(roles) - 1; i >= 0; i-- { // the last is whose secrets are read
		if p.fixed = accountOf(roles[i]); p.fixed != "" {
			return p
		}
	}
	switch a := s.Auth; {
	case a.JWT != nil:
	case a.SecretRef != nil: // who has the same key has the same secrets
		id := a.SecretRef.AccessKeyID
		if id.Namespace != nil {
			namespace = *id.Namespace
		}
		p.fixed = "key of " + namespace + "," + id.Name + "," + id.Key
	default:
		p.fixed = "operator"
	}
	return p
}

// Locate names what has a name, or an ARN, of the store's own API:
//
//	SERVICE.REGION.amazonaws.com/ACCOUNT/NAME
//
// The account is that of the role. Without one it is whose key or identity is used,
// which tells stores alike that use the same, but not that two lead to one account. It
// is "" while the role of a ServiceAccount is not known.
func (s *store) Locate(path string) string {
	p := s.place
	owner, region := p.fixed, p.region
	if m := arns.FindStringSubmatch(path); m != nil && m[1] == p.service {
		region, owner, path = m[2], m[3], m[5]
		if p.service == "secretsmanager" {
			path = suffix.ReplaceAllString(path, "")
		}
	}
	if owner == "" {
		account := p.account.Load()
		if account == nil {
			return ""
		}
		owner = *account
	}
	if p.service == "ssm" && strings.Count(path, "/") == 1 {
		path = strings.TrimPrefix(path, "/") // "/name" and "name" are one parameter
	}
	return p.service + "." + region + ".amazonaws.com/" + owner + "/" + path
}

// LocateKey implements provider.Locator.
func (s *store) LocateKey(key string) string {
	if key == "" {
		return ""
	}
	return s.Locate(s.place.prefix + key)
}
