package aws

import (
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/certificatemanager"
)

var (
	_ provider.Locator = (*store)(nil)
	_ provider.Locator = (*certificates)(nil)
)

// place is where the secrets of a store are.
type place struct {
	service string // of an ARN and of a host's name
	region  string
	prefix  string
	// fixed is whose secrets they are where the settings tell it: an account, or whose
	// identity it is that has one. Otherwise account is, of the role that a ServiceAccount
	// stands for or of an access key, as it was last read; nil before.
	fixed   string
	account *atomic.Pointer[string]
}

// accounts are within an ARN, such as arn:aws:iam::123456789012:role/reader.
var (
	accounts = regexp.MustCompile(`^arn:[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}):`)
	arns     = regexp.MustCompile(`^arn:[a-z0-9-]+:(secretsmanager|ssm|acm):([a-z0-9-]+):([0-9]{12}):(secret:|parameter|certificate/)(.+)$`)
	suffix   = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

// accountOf returns the account of an ARN, "" for none.
func accountOf(arn string) string {
	if m := accounts.FindStringSubmatch(arn); m != nil {
		return m[1]
	}
	return ""
}

// accountOfKey returns the account of an access key by its id, "" where that does not
// tell. That it does is AWS's word (sts:GetAccessKeyInfo); how is known by observation:
// behind four letters is base32, whose bits 1 to 40 are the account, in ids made since
// 2019, which go on with Q to Z or a digit. Two ids of one account give the same here,
// and nothing but names of places is made of it.
func accountOfKey(id string) string {
	if len(id) != 20 || id[4] >= 'A' && id[4] < 'Q' {
		return ""
	}
	raw, err := base32.StdEncoding.DecodeString(id[4:])
	if err != nil {
		return ""
	}
	account := binary.BigEndian.Uint64(raw) >> 23 & (1<<40 - 1)
	if account >= 1e12 {
		return ""
	}
	return fmt.Sprintf("%012d", account)
}

// placeOf returns where the secrets of a store with these settings are.
func placeOf(s Settings, account *atomic.Pointer[string], getenv func(string) string) place {
	p := place{service: "secretsmanager", region: s.Region, prefix: s.Prefix, account: account}
	switch s.Service {
	case ParameterStore:
		p.service = "ssm"
	case CertificateManager:
		p.service, p.prefix = "acm", ""
	}
	roles := append(s.AdditionalRoles, s.Role)
	for i := len(roles) - 1; i >= 0; i-- { // the last is whose secrets are read
		if p.fixed = accountOf(roles[i]); p.fixed != "" {
			return p
		}
	}
	if s.Auth.JWT == nil && s.Auth.SecretRef == nil {
		p.fixed = cmp.Or(accountOf(getenv("AWS_ROLE_ARN")), accountOfKey(getenv("AWS_ACCESS_KEY_ID")), "operator")
	}
	return p
}

// Locate names what has a name, or an ARN, of the store's own API:
//
//	SERVICE.REGION.amazonaws.com/ACCOUNT/NAME
//
// The account is that of the role, or of the access key. Where neither tells, it is whose
// key or identity is used, which tells stores alike that use the same, but not that two
// lead to one account. It is "" while a role or key is not known.
func (s *account) Locate(path string) string {
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
func (s *account) LocateKey(key string) string {
	if key == "" || s.place.service == "acm" && !certificatemanager.Named(key) {
		return ""
	}
	return s.Locate(s.place.prefix + key)
}
