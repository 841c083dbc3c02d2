package issuing

import (
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Role is what may be issued, with Vault's names for its fields. It is stored and
// shown as this JSON; durations are in seconds.
type Role struct {
	IssuerRef                 string   `json:"issuer_ref"`
	TTL                       int64    `json:"ttl"`
	MaxTTL                    int64    `json:"max_ttl"`
	AllowLocalhost            bool     `json:"allow_localhost"`
	AllowedDomains            []string `json:"allowed_domains"`
	AllowedDomainsTemplate    bool     `json:"allowed_domains_template"`
	AllowBareDomains          bool     `json:"allow_bare_domains"`
	AllowSubdomains           bool     `json:"allow_subdomains"`
	AllowGlobDomains          bool     `json:"allow_glob_domains"`
	AllowWildcardCertificates bool     `json:"allow_wildcard_certificates"`
	AllowAnyName              bool     `json:"allow_any_name"`
	EnforceHostnames          bool     `json:"enforce_hostnames"`
	AllowIPSANs               bool     `json:"allow_ip_sans"`
	ServerFlag                bool     `json:"server_flag"`
	ClientFlag                bool     `json:"client_flag"`
	CodeSigningFlag           bool     `json:"code_signing_flag"`
	EmailProtectionFlag       bool     `json:"email_protection_flag"`
	UseCSRCommonName          bool     `json:"use_csr_common_name"`
	UseCSRSANs                bool     `json:"use_csr_sans"`
	KeyType                   string   `json:"key_type"`
	KeyBits                   int      `json:"key_bits"`
	UsePSS                    bool     `json:"use_pss"`
	SignatureBits             int      `json:"signature_bits"`
	KeyUsage                  []string `json:"key_usage"`
	ExtKeyUsage               []string `json:"ext_key_usage"`
	ExtKeyUsageOIDs           []string `json:"ext_key_usage_oids"`
	OU                        []string `json:"ou"`
	Organization              []string `json:"organization"`
	Country                   []string `json:"country"`
	Locality                  []string `json:"locality"`
	Province                  []string `json:"province"`
	StreetAddress             []string `json:"street_address"`
	PostalCode                []string `json:"postal_code"`
	GenerateLease             bool     `json:"generate_lease"`
	NoStore                   bool     `json:"no_store"`
	RequireCN                 bool     `json:"require_cn"`
	CNValidations             []string `json:"cn_validations"`
	AllowedOtherSANs          []string `json:"allowed_other_sans"`
	AllowedSerialNumbers      []string `json:"allowed_serial_numbers"`
	AllowedUserIDs            []string `json:"allowed_user_ids"`
	AllowedURISANs            []string `json:"allowed_uri_sans"`
	AllowedURISANsTemplate    bool     `json:"allowed_uri_sans_template"`
	PolicyIdentifiers         []string `json:"policy_identifiers"`
	BasicConstraintsNonCA     bool     `json:"basic_constraints_valid_for_non_ca"`
	NotBeforeDuration         int64    `json:"not_before_duration"`
	NotAfter                  string   `json:"not_after"`
}

// DefaultNotBefore is how far back validity begins, for clocks that are slow.
const DefaultNotBefore = 30 * time.Second

// Decode reads a stored role.
func Decode(value []byte) (*Role, error) {
	r := new(Role)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, errs.New(errs.Internal, "decoding a role: the stored record is damaged or of a newer format")
	}
	return r, nil
}

// Verbatim is the role of sign-verbatim without one: any name, any key, and the
// lease's lifetimes.
func Verbatim() *Role {
	return &Role{
		AllowAnyName: true, AllowLocalhost: true, AllowIPSANs: true, AllowWildcardCertificates: true,
		UseCSRCommonName: true, UseCSRSANs: true, KeyType: "any", AllowedOtherSANs: []string{"*"},
		AllowedURISANs: []string{"*"}, AllowedUserIDs: []string{"*"}, AllowedSerialNumbers: []string{"*"},
		CNValidations:     []string{"disabled"},
		NotBeforeDuration: int64(DefaultNotBefore / time.Second),
		KeyUsage:          DefaultKeyUsage(),
	}
}

// Limits are the mount's, for what a role leaves open.
type Limits struct {
	Default, Max time.Duration
	Now          time.Time
}
