package username

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/password"
)

// Bounds.
const (
	MaxTemplate = 4 << 10 // bytes of a template
	MaxName     = 512     // bytes of what it makes, and of one random
	maxStep     = 8 << 10 // bytes of what one function makes
)

// Template is the text of a template of user names.
type Template string

// Data is what a template may name.
type Data struct {
	DisplayName string // of whoever asks: "kubernetes-my-app", "token"
	RoleName    string
}

// Source is where a template's chance and time come from.
type Source struct {
	Random io.Reader
	Now    time.Time
}

// Check tries a template. Kind Invalid: as for Make.
func (t Template) Check(s Source) error {
	_, err := t.MakeUnique(Data{DisplayName: "display", RoleName: "role"}, s)
	return err
}

// MakeUnique is Make for a user who is removed with a lease. A name in which
// chance has no part could be somebody's already, and making the user would fail,
// and the end of the lease would remove whoever has the name: that is Invalid too.
func (t Template) MakeUnique(d Data, s Source) (string, error) {
	name, err := t.Make(d, s)
	if err != nil {
		return "", err
	}
	if always, err := t.Make(d, Source{Random: zeros{}, Now: s.Now}); err != nil || always == name {
		return "", errs.New(errs.Invalid, "username_template makes a name that may come again, and its user would be removed with this one: it must hold random or uuid, and not truncate it away")
	}
	return name, nil
}

// zeros is chance that always falls the same way.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Make makes a name. Kind Invalid: the template cannot be parsed, uses what is
// not allowed, or makes no name.
func (t Template) Make(d Data, s Source) (string, error) {
	if len(t) > MaxTemplate {
		return "", errs.Newf(errs.Invalid, "username_template has %d bytes; the limit is %d", len(t), MaxTemplate)
	}
	parsed, err := template.New("username_template").Option("missingkey=error").Funcs(functions(s)).Parse(string(t))
	if err != nil {
		return "", errs.Newf(errs.Invalid, "username_template: %w", err)
	}
	if len(parsed.Templates()) != 1 || !plain(parsed.Root) {
		return "", errs.New(errs.Invalid, "username_template must not hold range, define, template, block, break or continue")
	}
	var out limited
	if err := parsed.Execute(&out, d); err != nil {
		return "", errs.Newf(errs.Invalid, "username_template: %w", err)
	}
	name := out.String()
	switch {
	case name == "":
		return "", errs.New(errs.Invalid, "username_template makes an empty name")
	case strings.ContainsRune(name, 0):
		return "", errs.New(errs.Invalid, "username_template makes a name with a NUL byte")
	}
	return name, nil
}

// plain reports whether a node holds only text, values and conditions.
func plain(n parse.Node) bool {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return true
		}
		for _, child := range n.Nodes {
			if !plain(child) {
				return false
			}
		}
		return true
	case *parse.IfNode:
		return plain(n.List) && plain(n.ElseList)
	case *parse.WithNode:
		return plain(n.List) && plain(n.ElseList)
	case *parse.TextNode, *parse.ActionNode, *parse.CommentNode:
		return true
	}
	return false
}

// limited is a strings.Builder that takes MaxName bytes.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > MaxName {
		return 0, errs.Newf(errs.Invalid, "the name is longer than %d bytes", MaxName)
	}
	return l.Builder.Write(p)
}

// short refuses the output of a function that grows beyond reason.
func short(s string) (string, error) {
	if len(s) > maxStep {
		return "", errs.Newf(errs.Invalid, "a value is longer than %d bytes", maxStep)
	}
	return s, nil
}

// wide finds widths and precisions that would make printf fill the memory.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\*|[0-9]{4,})`)

func functions(s Source) template.FuncMap {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	return template.FuncMap{
		"random":           s.random,
		"truncate":         truncate,
		"truncate_sha256":  truncateHash,
		"uppercase":        strings.ToUpper,
		"lowercase":        strings.ToLower,
		"replace":          func(find, with, in string) (string, error) { return replace(find, with, in) },
		"sha256":           hash,
		"base64":           func(text string) (string, error) { return short(base64.StdEncoding.EncodeToString([]byte(text))) },
		"unix_time":        func() string { return strconv.FormatInt(s.Now.Unix(), 10) },
		"unix_time_millis": func() string { return strconv.FormatInt(s.Now.UnixMilli(), 10) },
		"timestamp":        func(format string) (string, error) { return short(s.Now.UTC().Format(format)) },
		"uuid":             s.uuid,
		"printf":           printf,
		"print":            func(args ...any) (string, error) { return short(fmt.Sprint(args...)) },
		"println":          func(args ...any) (string, error) { return short(fmt.Sprintln(args...)) },
	}
}

func printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errs.New(errs.Invalid, "printf takes widths and precisions of up to three digits")
	}
	return short(fmt.Sprintf(format, args...))
}

// random returns n characters of base62.
func (s Source) random(n int) (string, error) {
	if n < 1 || n > MaxName {
		return "", errs.Newf(errs.Invalid, "random takes a length from 1 to %d", MaxName)
	}
	policy := password.Policy{Length: max(n, password.MinLength), Rules: []password.Rule{{Charset: password.Lower + password.Upper + password.Digits}}}
	text, err := policy.Generate(s.Random)
	if err != nil {
		return "", err
	}
	return text.RevealString()[:n], nil
}

func (s Source) uuid() (string, error) {
	id, err := uuid.NewRandomFromReader(s.Random)
	if err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return id.String(), nil
}

// truncate cuts text to at most n bytes, and never within a character.
func truncate(n int, text string) (string, error) {
	if n < 1 {
		return "", errs.New(errs.Invalid, "truncate takes a length of at least 1")
	}
	if len(text) <= n {
		return text, nil
	}
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n], nil
}

// truncateHash is truncate whose last 8 bytes tell cut texts apart.
func truncateHash(n int, text string) (string, error) {
	const tail = 8
	if n <= tail {
		return "", errs.Newf(errs.Invalid, "truncate_sha256 takes a length above %d", tail)
	}
	if len(text) <= n {
		return text, nil
	}
	head, err := truncate(n-tail, text)
	sum := sha256.Sum256([]byte(text))
	return head + hex.EncodeToString(sum[:])[:tail], err
}

func replace(find, with, in string) (string, error) {
	if n := strings.Count(in, find); len(in)+n*len(with) > maxStep {
		return "", errs.Newf(errs.Invalid, "a value is longer than %d bytes", maxStep)
	}
	return strings.ReplaceAll(in, find, with), nil
}
