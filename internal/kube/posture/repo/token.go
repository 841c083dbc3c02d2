package repo

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// blocks are private keys that are not encrypted, also with \n written out, as JSON
// has it.
var blocks = regexp.MustCompile(`-----BEGIN (?:RSA |EC |DSA |OPENSSH )?PRIVATE KEY-----[A-Za-z0-9+/=\\rn\s"'|+>-]+?-----END (?:RSA |EC |DSA |OPENSSH )?PRIVATE KEY-----`)

// keys are the places of private keys: what is shorter than any key stands for one.
func keys(text []byte) [][]int {
	return slices.DeleteFunc(blocks.FindAllIndex(text, maxFinds), func(m []int) bool { return m[1]-m[0] < 150 || m[1]-m[0] > 1<<15 })
}

// urls are those with a password.
var urls = regexp.MustCompile(`\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"'` + "`" + `<>{}$%*]{0,64}:([^\s/@"'` + "`" + `<>{}$*]{6,256})@[A-Za-z0-9.-]+`)

// tokens finds what looks like a secret.
func (g *gather) tokens() {
	looks.Tokens(g.text, func(from, to int) {
		if v := g.text[from:to]; len(g.out) < maxFinds && !placeholder(string(v)) {
			g.add(g.lineAt(from), "", v, snapshot.LooksToken)
		}
	})
	if bytes.Contains(g.text, []byte("PRIVATE KEY")) {
		for _, m := range keys(g.text) {
			g.add(g.lineAt(m[0]), "", dedent(g.text[m[0]:m[1]]), snapshot.LooksPrivateKey)
		}
	}
	g.logins()
}

// logins finds URLs with a password.
func (g *gather) logins() {
	if bytes.Contains(g.text, []byte("://")) {
		for _, m := range urls.FindAllSubmatchIndex(g.text, maxFinds) {
			password := g.text[m[2]:m[3]]
			if plain, err := url.PathUnescape(string(password)); err == nil {
				password = []byte(plain)
			}
			if !placeholder(string(password)) && !fingerprint.Weak(password) && !example(string(g.text[m[0]:m[1]])) {
				g.add(g.lineAt(m[0]), "", password, snapshot.LooksURL)
			}
		}
	}
}

// stand are words that stand for a secret.
var stand = regexp.MustCompile(`(?i)example|placeholder|changeme|change-me|change_me|replace|redacted|dummy|insert|todo|your[-_]?|xxxx|\*\*\*|\.\.\.|0{8}|12345678|abcdefgh|^(?:my|the|some|test)?[-_]?(?:secret|password|passwd|pass|pwd|token|key)[0-9]{0,3}$`)

// placeholder reports whether a text stands for a secret and is none.
func placeholder(text string) bool { return stand.MatchString(text) }

// example reports whether a URL is of nobody.
func example(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(u.Hostname(), ".") // the end of a sentence
	return host == "localhost" || host == "127.0.0.1" || host == "host" || host == "hostname" || strings.HasSuffix(host, "example.com") || strings.HasSuffix(host, "example.org") || strings.HasSuffix(host, ".example") || strings.HasSuffix(host, ".test")
}

// dedent is a block of lines without what stands before each, and ends with a
// newline as files of keys do not have to: who compares trims.
func dedent(block []byte) []byte {
	block = bytes.ReplaceAll(block, []byte(`\r`), nil)
	block = bytes.ReplaceAll(block, []byte(`\n`), []byte("\n"))
	lines := bytes.Split(block, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.Trim(lines[i], " \t\r\"'+|>")
	}
	return bytes.Join(lines, []byte("\n"))
}

// decoded is what a word of base64 stands for, if that is text.
func decoded(word []byte) ([]byte, bool) {
	if len(word) < 8 || len(word)%4 != 0 {
		return nil, false
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(word)))
	n, err := base64.StdEncoding.Decode(raw, word)
	if err != nil || !utf8.Valid(raw[:n]) {
		return nil, false
	}
	return raw[:n], true
}
