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
	if value[0] != 0x30 {
		return false
	}
	name := strings.ToLower(key)
	return strings.HasSuffix(name, ".p12") || strings.HasSuffix(name, ".pfx") || strings.HasSuffix(name, ".pkcs12")
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

// scheme is what begins a URL.
var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]{1,30}$`)

// hasPassword reports whether text is a URL with a password that is one: on one line, with
// a user, who may have no name, and a host behind the last @.
func hasPassword(text string) bool {
	before, rest, is := strings.Cut(text, "://")
	at := strings.LastIndexByte(rest, '@')
	if !is || at < 0 || at == len(rest)-1 || strings.ContainsAny(rest, " \t\n\f\r") {
		return false
	}
	user, password, has := strings.Cut(rest[:at], ":")
	return has && password != "" && !strings.ContainsAny(user, "/@") && scheme.MatchString(strings.TrimPrefix(before, "jdbc:")) && !reference(password) && !nothing(password)
}
