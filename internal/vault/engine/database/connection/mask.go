package connection

import (
	"regexp"
	"strings"
)

// mysqlPassword finds the password of user:password@tcp(...), and what a list of
// key=value says.
var (
	dsnPassword = regexp.MustCompile(`^([^/:@]*):(.*)@([a-z0-9]*\()`)
	kvPassword  = regexp.MustCompile(`(?i)\b(password|sslpassword)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// MaskURL hides a literal password in a connection_url.
func MaskURL(text string) string {
	const templated = "{{password}}"
	mask := func(p string) string {
		if p == "" || strings.ReplaceAll(p, " ", "") == templated {
			return p
		}
		return "*****"
	}
	if m := dsnPassword.FindStringSubmatchIndex(text); m != nil {
		return text[:m[4]] + mask(text[m[4]:m[5]]) + text[m[5]:]
	}
	text = kvPassword.ReplaceAllStringFunc(text, func(s string) string {
		name, value, _ := strings.Cut(s, "=")
		return name + "=" + mask(strings.TrimSpace(value))
	})
	scheme, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndexByte(rest, '@') // the last: an unescaped one may be in the password
	if !ok || at < 0 {
		return text
	}
	user, password, has := strings.Cut(rest[:at], ":")
	if !has {
		return text
	}
	return scheme + "://" + user + ":" + mask(password) + rest[at:]
}
