package looks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// maxText is the length in bytes up to which a value is looked at as a text.
const maxText = 64 << 10

// Of returns what value looks like, which is known by the name key ("" if by none).
// The value is taken as a whole; who wants to know of its parts walks them.
func Of(key string, value []byte) snapshot.Looks {
	if len(value) == 0 {
		return ""
	}
	if l := pem(value); l != "" {
		return l
	}
	if keystore(key, value) {
		return snapshot.LooksPrivateKey
	}
	if len(value) > maxText || !utf8.Valid(value) {
		return ""
	}
	text := strings.TrimSpace(string(value))
	switch {
	case text == "":
		return ""
	case registry(text):
		return snapshot.LooksRegistry
	case token(text):
		return snapshot.LooksToken
	case hasPassword(text):
		return snapshot.LooksURL
	}
	return byName(key, text)
}

// byName is what remains when the value itself says nothing.
func byName(key, text string) snapshot.Looks {
	strong, weak := secretName(key)
	switch {
	case reference(text):
		if strong || weak {
			return snapshot.LooksReference
		}
		return ""
	case strong && !nothing(text) && !strings.ContainsAny(text, "\n"), weak && !nothing(text) && !plain(text):
		return snapshot.LooksNamed
	case random(key, text):
		return snapshot.LooksRandom
	}
	return ""
}

// Rank orders looks: of two in one value the higher one is what the value looks like.
func Rank(l snapshot.Looks) int {
	return ranks[l]
}

var ranks = map[snapshot.Looks]int{
	snapshot.LooksReference: 1, snapshot.LooksCert: 2, snapshot.LooksRandom: 3, snapshot.LooksNamed: 4,
	snapshot.LooksURL: 5, snapshot.LooksRegistry: 6, snapshot.LooksToken: 7, snapshot.LooksPrivateKey: 8,
}

// Key reports whether the name of a key looks like a secret itself: somebody may
// have put one where its name belongs.
func Key(key string) bool { return token(key) || len(key) >= 32 && random("", key) }

func pem(value []byte) snapshot.Looks {
	if bytes.Contains(value, []byte("AGE-SECRET-KEY-1")) {
		return snapshot.LooksPrivateKey
	}
	i := bytes.Index(value, []byte("-----BEGIN "))
	if i < 0 {
		return ""
	}
	if bytes.Contains(value[i:], []byte("PRIVATE KEY-----")) || bytes.Contains(value[i:], []byte("PRIVATE KEY BLOCK-----")) {
		return snapshot.LooksPrivateKey
	}
	if bytes.HasPrefix(bytes.TrimSpace(value), []byte("-----BEGIN ")) {
		return snapshot.LooksCert
	}
	return ""
}

// keystore reports whether value is a file that keys are kept in: of Java (JKS,
// JCEKS), or PKCS#12 by its name, as its first bytes are those of any DER.
func keystore(key string, value []byte) bool {
	if bytes.HasPrefix(value, []byte("\xfe\xed\xfe\xed")) || bytes.HasPrefix(value, []byte("\xce\xce\xce\xce")) {
		return true
	}
	for _, end := range []string{".p12", ".pfx", ".pkcs12"} {
		if strings.HasSuffix(strings.ToLower(key), end) {
			return value[0] == 0x30
		}
	}
	return false
}

func registry(text string) bool {
	if text[0] != '{' || !strings.Contains(text, `"auth`) {
		return false
	}
	var config struct {
		Auths map[string]struct{ Auth, Username, Password, IdentityToken string }
	}
	if json.Unmarshal([]byte(text), &config) != nil {
		return false
	}
	for _, a := range config.Auths {
		if a.Auth+a.Password+a.IdentityToken != "" {
			return true
		}
	}
	return false
}

// issued are tokens by how their issuers let them begin. An alternative is
// anchored at both ends: a text that merely mentions one is told by its parts.
var issued = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}`,                              // AWS
	`gh[pousr]_[A-Za-z0-9]{36,255}`, `github_pat_[A-Za-z0-9_]{36,255}`, // GitHub
	`ghs_[A-Za-z0-9_.-]{36,}`, //
	`gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|oas)-[A-Za-z0-9_.=-]{20,300}`, // GitLab
	`xox[abeoprs]-[A-Za-z0-9-]{10,}`, `xapp-[0-9]-[A-Za-z0-9-]{10,}`,             // Slack
	`https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}`,
	`https://discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{40,}`,
	`[sr]k_(?:live|test)_[A-Za-z0-9]{16,}`, `whsec_[A-Za-z0-9+/=]{24,}`, // Stripe
	`AIza[A-Za-z0-9_-]{35}`, `ya29\.[A-Za-z0-9_-]{20,}`, `GOCSPX-[A-Za-z0-9_-]{20,}`, // Google
	`SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`, // SendGrid
	`npm_[A-Za-z0-9]{36}`, `pypi-[A-Za-z0-9_-]{50,}`, `rubygems_[a-f0-9]{48}`, `dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}`,
	`hv[sbr]\.[A-Za-z0-9_-]{24,}`, `s\.[A-Za-z0-9]{24}`, // HashiCorp Vault
	`sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-|or-v1-)?[A-Za-z0-9_-]{20,}`, `hf_[A-Za-z0-9]{30,}`,
	`do[opr]_v1_[a-f0-9]{64}`, `shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`, `glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}`, `glc_[A-Za-z0-9+/=]{32,}`,
	`NRAK-[A-Z0-9]{27}`, `dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}`, `lin_api_[A-Za-z0-9]{40}`, `key-[a-f0-9]{32}`, `SK[a-f0-9]{32}`,
	`PMAK-[a-f0-9]{24}-[a-f0-9]{34}`, `pul-[a-f0-9]{40}`, `tfp_[A-Za-z0-9_-]{40,}`, `[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}`,
	`ATATT3[A-Za-z0-9_=-]{50,}`, `ATCTT3[A-Za-z0-9_=-]{50,}`, `sntry[su]_[A-Za-z0-9_=+/-]{40,}`, `EAACEdEose0cBA[A-Za-z0-9]+`,
	`[a-z0-9]{6}\.[a-z0-9]{16}`, // Kubernetes' bootstrap tokens
}, "|") + `)$`)

// token reports whether text is a token: by its issuer's prefix, or a JWT.
func token(text string) bool {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "Bearer "), "token ")
	if len(text) < 16 || len(text) > maxText || strings.ContainsAny(text, " \n\t") {
		return false
	}
	return begins(text) && issued.MatchString(text) && !example(text) || jwt(text)
}

// beginnings are those of issued, which are looked for first: most values are none of
// them, and matching all of issued is slow.
var beginnings = byFirst(`AKIA ASIA ABIA ACCA ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ gl xox xapp- https://hooks.slack.com/ https://discord sk_ rk_ whsec_ AIza ya29. GOCSPX-
	SG. npm_ pypi- rubygems_ dckr_ hvs. hvb. hvr. s. sk- hf_ doo_ dop_ dor_ shp glsa_ glc_ NRAK- dt0c01. lin_api_ key- SK PMAK- pul- tfp_ ATATT3 ATCTT3 sntrys_ sntryu_ EAACEd`)

func begins(text string) bool {
	if len(text) == 23 && text[6] == '.' || strings.Contains(text, ".atlasv1.") {
		return true
	}
	return beginnings.begin(text)
}

// first are words by their first byte.
type first [256][]string

func byFirst(words string) *first {
	var out first
	for _, w := range strings.Fields(words) {
		out[w[0]] = append(out[w[0]], w)
	}
	return &out
}

// begin reports whether text, which is not empty, begins with one of them.
func (f *first) begin(text string) bool {
	for _, w := range f[text[0]] {
		if strings.HasPrefix(text, w) {
			return true
		}
	}
	return false
}

// example reports whether a token is one of those that documentation is full of.
func example(text string) bool {
	lower := strings.ToLower(text)
	return strings.HasSuffix(lower, "example") || strings.Contains(lower, "xxxxxxxx") || strings.Contains(lower, "00000000")
}

func jwt(text string) bool {
	if !strings.HasPrefix(text, "eyJ") || strings.Count(text, ".") < 2 {
		return false
	}
	head, _, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return false
	}
	var fields struct {
		Alg string `json:"alg"`
	}
	return json.Unmarshal(raw, &fields) == nil && fields.Alg != ""
}

// withPassword is a URL on one line with user information that has a password.
var withPassword = regexp.MustCompile(`^(?:jdbc:)?[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@]*:([^\s]+)@[^\s@]+$`)

// hasPassword reports whether text is a URL with a password that is one.
func hasPassword(text string) bool {
	if !strings.Contains(text, "://") || !strings.Contains(text, "@") {
		return false
	}
	m := withPassword.FindStringSubmatch(text)
	return m != nil && !reference(m[1]) && !nothing(m[1])
}
