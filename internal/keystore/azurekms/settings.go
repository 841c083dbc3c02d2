package azurekms

import (
	"cmp"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Settings say which key, and how to get at it.
type Settings struct {
	// Vault is where it is, such as https://shop.vault.azure.net or
	// https://shop.managedhsm.azure.net.
	Vault string `json:"vault"`
	// Key is its name: an RSA key, or a symmetric one of a Managed HSM.
	Key string `json:"key"`
	// Algorithm is RSA-OAEP-256 (default), or A256KW for a symmetric key.
	Algorithm string `json:"algorithm,omitzero"`
	// Auth is who signs in; default: the machine's managed identity.
	Auth Auth `json:"auth,omitzero"`
	// Endpoint is asked in place of Vault, and TokenEndpoint in place of who gives
	// tokens: proxies of one's own.
	Endpoint      string `json:"endpoint,omitzero"`
	TokenEndpoint string `json:"token_endpoint,omitzero"`
	// Timeout of a call, a Go duration; default 2s, less than an API server's patience.
	Timeout string `json:"timeout,omitzero"`

	timeout   time.Duration
	algorithm byte
	host      string
	cloud     cloud
}

// Auth is an application of a tenant, by one of the two files, which are read at each
// login, or a managed identity.
type Auth struct {
	Tenant          string `json:"tenant,omitzero"`
	Client          string `json:"client,omitzero"` // of a managed identity too, where a machine has several
	SecretFile      string `json:"secret_file,omitzero"`
	CertificateFile string `json:"certificate_file,omitzero"` // PEM or PKCS#12, with its key
}

// algorithms are those that a blob names.
var algorithms = []azkeys.EncryptionAlgorithm{azkeys.EncryptionAlgorithmRSAOAEP256, azkeys.EncryptionAlgorithmA256KW}

// kinds are the types of keys for an algorithm.
var kinds = [][]azkeys.KeyType{{azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM}, {azkeys.KeyTypeOctHSM, azkeys.KeyTypeOct}}

// cloud is one of Azure's: where vaults are, and who gives tokens for them.
type cloud struct{ domain, authority string }

var clouds = []cloud{
	{"vault.azure.net", "login.microsoftonline.com"}, {"managedhsm.azure.net", "login.microsoftonline.com"},
	{"vault.azure.cn", "login.chinacloudapi.cn"}, {"managedhsm.azure.cn", "login.chinacloudapi.cn"},
	{"vault.usgovcloudapi.net", "login.microsoftonline.us"}, {"managedhsm.usgovcloudapi.net", "login.microsoftonline.us"},
}

const defaultTimeout = 2 * time.Second

var (
	names   = regexp.MustCompile(`^[A-Za-z0-9-]{1,127}$`)
	vaults  = regexp.MustCompile(`^[a-z0-9-]{3,24}$`)
	tenants = regexp.MustCompile(`^[A-Za-z0-9.-]{1,128}$`)
)

func parse(raw []byte) (Settings, error) {
	var s Settings
	if err := keystore.Decode(raw, &s); err != nil {
		return s, err
	}
	if err := s.where(); err != nil {
		return s, err
	}
	if !names.MatchString(s.Key) {
		return s, errs.Newf(errs.Invalid, "key %q is no name in Key Vault: it has letters, digits and - only, and no version", s.Key)
	}
	i := slices.Index(algorithms, azkeys.EncryptionAlgorithm(cmp.Or(s.Algorithm, string(algorithms[0]))))
	if i < 0 {
		return s, errs.Newf(errs.Invalid, "algorithm %q: use RSA-OAEP-256, or A256KW for a symmetric key of a Managed HSM", s.Algorithm)
	}
	s.algorithm = byte(i)
	for name, at := range map[string]string{"endpoint": s.Endpoint, "token_endpoint": s.TokenEndpoint} {
		if err := checkEndpoint(name, at); err != nil {
			return s, err
		}
	}
	s.Key = strings.ToLower(s.Key) // as Key Vault takes it: in other letters it is the same key, and has the same id
	var err error
	if s.timeout, err = time.ParseDuration(cmp.Or(s.Timeout, defaultTimeout.String())); err != nil || s.timeout <= 0 {
		return s, errs.Newf(errs.Invalid, "timeout %q: use a positive duration such as 2s", s.Timeout)
	}
	return s, s.Auth.check()
}

// where reads the vault's address.
func (s *Settings) where() error {
	host, ok := strings.CutPrefix(strings.TrimSuffix(strings.ToLower(s.Vault), "/"), "https://")
	name, domain, _ := strings.Cut(host, ".")
	i := slices.IndexFunc(clouds, func(c cloud) bool { return c.domain == domain })
	if !ok || i < 0 || !vaults.MatchString(name) {
		return errs.Newf(errs.Invalid, "vault %q must be such as https://NAME.vault.azure.net or https://NAME.managedhsm.azure.net", s.Vault)
	}
	s.host, s.cloud = host, clouds[i]
	return nil
}

func (a *Auth) check() error {
	app := a.Tenant != "" || a.SecretFile != "" || a.CertificateFile != ""
	switch {
	case !app:
		return nil
	case (a.SecretFile == "") == (a.CertificateFile == ""):
		return errs.New(errs.Invalid, "auth of an application needs one of secret_file and certificate_file")
	case !tenants.MatchString(a.Tenant) || a.Client == "":
		return errs.New(errs.Invalid, "auth of an application needs tenant and client")
	}
	return nil
}

func checkEndpoint(name, at string) error {
	if at == "" {
		return nil
	}
	u, err := url.Parse(at)
	if err == nil && (u.RawQuery != "" || strings.Trim(u.Path, "/") != "") {
		return errs.Newf(errs.Invalid, "%s must be https://HOST without a path: it stands in place of a host", name)
	}
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errs.Newf(errs.Invalid, "%s must be https://HOST: keys and tokens would go over the network in plain text", name)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
