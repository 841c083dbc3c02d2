package fingerprint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of looking into one value.
const (
	maxText  = 64 << 10 // longer values are taken whole only
	maxParts = 512
	maxDepth = 8 // of things in things
)

// Walk calls f with value, which is known by the name key, and with everything in it
// that may be a secret of its own, whole values first. The same may be told twice.
// where has no key that may be a secret itself; key is the innermost name as it
// stands there, which is not to be shown.
func Walk(key string, value []byte, f func(where, key string, part []byte)) {
	w := walker{tell: f, left: maxParts, key: key}
	w.found("", value)
	w.into("", value, 0)
}

type walker struct {
	tell func(where, key string, part []byte)
	left int
	key  string // of what is being looked into
}

// named looks into what is known by key.
func (w *walker) named(key string, look func()) {
	before := w.key
	w.key = key
	look()
	w.key = before
}

func (w *walker) found(where string, part []byte) {
	if w.left == 0 || len(part) == 0 {
		return
	}
	w.left--
	w.tell(where, w.key, part)
}

// part tells of a part and looks into it.
func (w *walker) part(where, text string, depth int) {
	w.found(where, []byte(text))
	w.into(where, []byte(text), depth+1)
}

// into looks into value, which was told already.
func (w *walker) into(where string, value []byte, depth int) {
	if depth > maxDepth || w.left == 0 || !text(value) {
		return
	}
	trimmed := bytes.TrimSpace(value)
	if len(trimmed) < minLength {
		return
	}
	if len(trimmed) != len(value) {
		w.found(where, trimmed)
	}
	switch line := string(trimmed); {
	case trimmed[0] == '{' || trimmed[0] == '[':
		w.json(where, trimmed, depth)
	case strings.HasPrefix(line, "-----BEGIN "):
	case w.url(where, line, depth), w.base64(where, trimmed, depth), w.keywords(where, line, depth):
	default:
		w.document(where, trimmed, depth)
	}
}

// text reports whether value is looked into.
func text(value []byte) bool {
	return len(value) <= maxText && utf8.Valid(value) && bytes.IndexByte(value, 0) < 0
}

// json tells of the leaves of a document.
func (w *walker) json(where string, value []byte, depth int) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) == nil {
		w.leaves(where, tree, depth)
	}
}

func (w *walker) leaves(where string, tree any, depth int) {
	if depth > maxDepth || w.left == 0 {
		return
	}
	switch t := tree.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(t)) {
			w.named(k, func() { w.leaves(where+"/"+label(k), t[k], depth+1) })
		}
	case []any:
		for i, v := range t {
			w.leaves(where+"/"+strconv.Itoa(i), v, depth+1)
		}
	case string:
		w.part(where, t, depth)
		if _, password, ok := login(t); ok && strings.HasSuffix(where, "/auth") {
			w.named("password", func() { w.found(where+"#password", []byte(password)) })
		}
	case json.Number:
		w.found(where, []byte(t.String()))
	}
}

// words are what the names in configurations are made of.
var words = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(`access account address admin api app auth auths aws azure bind broker bucket ca cache cert certificate client cluster config connection
		credential credentials data database datasource db default dsn email endpoint env file gcp host id jdbc json key keys kafka ldap login mail master mongo mq mysql name namespace
		node oauth pass passphrase passwd password path pem pg port postgres primary private project public pw pwd queue rabbitmq read redis refresh region registry root salt schema
		secret secrets server service session sasl smtp spring sql ssl sslmode storage string tls token type uid uri url user username value vault webhook write`) {
		out[w] = true
	}
	return out
}()

// label is a key as a part of a place: as it is if it is made of words that say
// nothing, else "*". Somebody may have put a secret there.
func label(key string) string {
	if key == "" || len(key) > 64 {
		return "*"
	}
	for at := 0; at < len(key); {
		end := word(key, at)
		switch {
		case end > at && !words[strings.ToLower(key[at:end])], end == at && (!mark(key[at]) || at > 0 && mark(key[at-1])):
			return "*"
		}
		at = max(end, at+1)
	}
	return key
}

// word is where the word ends that begins at a place: capital letters, then small ones.
func word(key string, at int) int {
	for at < len(key) && key[at] >= 'A' && key[at] <= 'Z' {
		at++
	}
	for at < len(key) && key[at] >= 'a' && key[at] <= 'z' {
		at++
	}
	return at
}

// mark reports whether c stands between words, alone.
func mark(c byte) bool { return c == '_' || c == '.' || c == ' ' || c == '-' }

// login is "user:password" in base64, as registries' configurations have it.
func login(text string) (user, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

// url tells of the password in a URL.
func (w *walker) url(where, text string, depth int) bool {
	at := strings.Index(text, "://")
	if at <= 0 || at > 40 || strings.ContainsAny(text, " \n\t") {
		return false
	}
	// A password that is not escaped as it should be is cut out by hand.
	rest := text[at+3:]
	if i := strings.LastIndexByte(rest, '@'); i > 0 {
		if _, password, ok := strings.Cut(rest[:i], ":"); ok {
			w.named("password", func() { w.password(where, password) })
		}
	}
	if u, err := url.Parse(text); err == nil {
		query := u.Query()
		for _, k := range slices.Sorted(maps.Keys(query)) {
			for _, v := range query[k] {
				w.named(k, func() { w.part(where+"#"+label(k), v, depth) })
			}
		}
	}
	if strings.HasPrefix(text, "jdbc:") {
		w.keywords(where, text, depth)
	}
	return true
}

// password tells of one in a URL, as it is written and as it is meant.
func (w *walker) password(where, written string) {
	w.found(where+"#password", []byte(written))
	if plain, err := url.PathUnescape(written); err == nil && plain != written {
		w.found(where+"#password", []byte(plain))
	}
}

// base64 looks into a value that is base64 of text.
func (w *walker) base64(where string, value []byte, depth int) bool {
	if len(value) < 12 || bytes.ContainsAny(value, " :{}") {
		return false
	}
	e := encoding(value)
	if e == nil {
		return false
	}
	raw := make([]byte, e.DecodedLen(len(value)))
	n, err := e.Decode(raw, value) // it passes over ends of lines
	if raw = raw[:n]; err != nil || !utf8.Valid(raw) || !printable(raw) {
		return false
	}
	w.part(where+"#base64", string(raw), depth)
	return true
}

// What a character of base64 is.
const (
	plain   byte = 1 << iota // of all alphabets
	onlyStd                  // + and /
	onlyURL                  // - and _
	padding
	ending // of a line, which is passed over
)

var characters = func() (out [256]byte) {
	for kind, all := range map[byte]string{
		plain: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", onlyStd: "+/", onlyURL: "-_", padding: "=", ending: "\r\n",
	} {
		for i := range len(all) {
			out[all[i]] = kind
		}
	}
	return out
}()

// encoding is the one by which value may be base64, nil if it is none by any. Which it is,
// its characters and its length tell.
func encoding(value []byte) *base64.Encoding {
	seen, n := byte(0), 0
	for _, c := range value {
		kind := characters[c]
		if kind == 0 {
			return nil
		}
		seen |= kind
		if kind != ending {
			n++
		}
	}
	return fits(seen, n)
}

// fits is the encoding of n characters of which these kinds were seen.
func fits(seen byte, n int) *base64.Encoding {
	url, padded := seen&onlyURL != 0, seen&padding != 0
	switch {
	case seen&onlyStd != 0 && url || padded && n%4 != 0 || n%4 == 1:
		return nil
	case url && padded:
		return base64.URLEncoding
	case url:
		return base64.RawURLEncoding
	case padded:
		return base64.StdEncoding
	}
	return base64.RawStdEncoding
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// pair is one of a keyword string: libpq's "password='x y'", ADO's "Password=x;".
var pair = regexp.MustCompile(`(?i)([a-z][a-z0-9_ -]{0,40}?)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|([^\s;,&"']+))`)

// keywords tells of the values of a keyword string on one line.
func (w *walker) keywords(where, text string, depth int) bool {
	if strings.Contains(text, "\n") || !strings.Contains(text, "=") {
		return false
	}
	any := false
	for _, m := range pair.FindAllStringSubmatch(text, maxParts) {
		v := m[2] + m[3] + m[4]
		if m[2] != "" {
			v = strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(v)
		}
		any = true
		name := strings.TrimSpace(m[1])
		w.named(name, func() { w.part(where+"#"+label(name), v, depth) })
	}
	return any
}

// line is KEY=VALUE or KEY: VALUE, as environment files and properties have it.
var line = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*(.*?)[ \t\r]*$`)

// document tells of the leaves of YAML, or else of the values of lines.
func (w *walker) document(where string, value []byte, depth int) {
	if !bytes.Contains(value, []byte("\n")) && !bytes.Contains(value, []byte(": ")) {
		return
	}
	var tree yaml.Node
	if yaml.Unmarshal(value, &tree) == nil && len(tree.Content) == 1 && tree.Content[0].Kind != yaml.ScalarNode {
		w.scalars(where, tree.Content[0], depth)
		return
	}
	for _, m := range line.FindAllSubmatch(value, maxParts) {
		v := string(m[2])
		if len(v) > 1 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = v[1 : len(v)-1]
		}
		name := string(m[1])
		w.named(name, func() { w.part(where+"/"+label(name), v, depth) })
	}
}

// scalars tells of the leaves of YAML as they are written. Aliases are not
// followed: what they stand for is told where it stands.
func (w *walker) scalars(where string, n *yaml.Node, depth int) {
	if depth > maxDepth || w.left == 0 {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			w.named(name, func() { w.scalars(where+"/"+label(name), n.Content[i+1], depth+1) })
		}
	case yaml.SequenceNode:
		for i, v := range n.Content {
			w.scalars(where+"/"+strconv.Itoa(i), v, depth+1)
		}
	case yaml.ScalarNode:
		w.part(where, n.Value, depth)
	}
}
