package conform

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config of Check.
type Config struct {
	Socket string   // a path
	Peers  []string // sockets of the same key's plugins on other nodes, where they can be reached
}

// Level is what a Finding means.
type Level string

// The levels: a plugin with a Fail is not one that an API server should be given.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is the answer to one question. Nothing that was encrypted is in it.
type Finding struct {
	Question string `json:"question"`
	Level    Level  `json:"level"`
	Detail   string `json:"detail"`
}

// Limits of the protocol (k8s.io/kms/apis/v2/api.proto), in bytes.
const (
	maxCiphertext  = 1 << 10
	maxKeyID       = 1 << 10
	maxAnnotations = 32 << 10
)

// slow is how long Status takes at most that asks nobody.
const slow = 5 * time.Millisecond

// question is one of the suite; a nil error is a yes.
type question struct {
	text string
	ask  func(context.Context) (detail string, err error)
	warn bool // a no is no fault of the plugin's
}

// suite is a check under way.
type suite struct {
	cfg    Config
	c      *Client
	plain  []byte
	keyID  string
	sealed *v2.EncryptResponse
}

// Check asks everything, in order; what cannot be asked after a failure is left out.
// It makes some hundred calls, none of which changes anything. The error is of the
// socket's path only.
func Check(ctx context.Context, cfg Config) ([]Finding, error) {
	c, err := Dial(cfg.Socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	s := &suite{cfg: cfg, c: c, plain: make([]byte, 32)}
	_, _ = rand.Read(s.plain) // never fails
	var found []Finding
	for i, q := range s.questions() {
		f := Finding{Question: q.text, Level: OK}
		detail, err := q.ask(ctx)
		switch {
		case err == nil:
			f.Detail = detail
		case q.warn:
			f.Level, f.Detail = Warn, err.Error()
		default:
			f.Level, f.Detail = Fail, err.Error()
		}
		found = append(found, f)
		if f.Level == Fail && i < 3 { // nothing to go on with
			break
		}
	}
	return found, nil
}

func (s *suite) questions() []question {
	all := []question{
		{text: "Status is that of a healthy v2 plugin", ask: s.status},
		{text: "Encrypt answers within the limits, with the key id of Status", ask: s.encrypt},
		{text: "Decrypt gives back what was encrypted", ask: s.decrypt},
		{text: "annotations are domain names and small", ask: s.annotations},
		{text: "Status takes no time", ask: s.quick, warn: true},
		{text: "a ciphertext with a bit changed is refused", ask: s.still(s.flipped)},
		{text: "a ciphertext that was cut short is refused", ask: s.still(s.cut)},
		{text: "another key id is refused", ask: s.still(s.otherKey)},
		{text: "other annotations are refused", ask: s.still(s.otherAnnotations)},
		{text: "nothing is neither encrypted nor decrypted", ask: s.still(s.empty)},
		{text: "a hundred calls at once are answered", ask: s.crowd},
	}
	for _, peer := range s.cfg.Peers {
		all = append(all, question{text: "the plugin at " + peer + " has the same key", ask: func(ctx context.Context) (string, error) { return s.peer(ctx, peer) }})
	}
	return all
}

func (s *suite) status(ctx context.Context) (string, error) {
	a, err := s.c.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case a.GetVersion() != "v2" && a.GetVersion() != "v2beta1":
		return "", fmt.Errorf("version is %q, not v2", a.GetVersion())
	case a.GetHealthz() != "ok":
		return "", fmt.Errorf("healthz is %q; API servers go on writing for as long as it is not an error of the call", short(a.GetHealthz()))
	case a.GetKeyId() == "" || len(a.GetKeyId()) >= maxKeyID:
		return "", fmt.Errorf("the key id has %d bytes, not 1 to %d", len(a.GetKeyId()), maxKeyID-1)
	}
	s.keyID = a.GetKeyId()
	return "key id " + short(s.keyID), nil
}

func (s *suite) encrypt(ctx context.Context) (string, error) {
	one, err := s.c.Encrypt(ctx, s.plain)
	if err != nil {
		return "", err
	}
	two, err := s.c.Encrypt(ctx, s.plain)
	switch {
	case err != nil:
		return "", err
	case len(one.GetCiphertext()) == 0 || len(one.GetCiphertext()) >= maxCiphertext:
		return "", fmt.Errorf("the ciphertext of 32 bytes has %d, not 1 to %d", len(one.GetCiphertext()), maxCiphertext-1)
	case bytes.Contains(one.GetCiphertext(), s.plain):
		return "", fmt.Errorf("the plaintext is in the ciphertext")
	case bytes.Equal(one.GetCiphertext(), two.GetCiphertext()):
		return "", fmt.Errorf("one plaintext has one ciphertext: equal secrets show")
	case one.GetKeyId() != s.keyID:
		return "", fmt.Errorf("the key id is %q, and of Status %q: if the key was not turned just now, API servers will not take it", short(one.GetKeyId()), short(s.keyID))
	}
	s.sealed = one
	return fmt.Sprintf("%d bytes", len(one.GetCiphertext())), nil
}

func (s *suite) decrypt(ctx context.Context) (string, error) { return "", s.opens(ctx, s.c, s.sealed) }

func (s *suite) opens(ctx context.Context, c *Client, sealed *v2.EncryptResponse) error {
	plain, err := c.Decrypt(ctx, sealed)
	if err == nil && !bytes.Equal(plain, s.plain) {
		err = fmt.Errorf("something else comes back")
	}
	return err
}

func (s *suite) annotations(context.Context) (string, error) {
	size := 0
	for name, value := range s.sealed.GetAnnotations() {
		size += len(name) + len(value)
		if !strings.Contains(name, ".") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			return "", fmt.Errorf("annotation %q is no domain name", short(name))
		}
	}
	if size >= maxAnnotations {
		return "", fmt.Errorf("annotations have %d bytes, not less than %d", size, maxAnnotations)
	}
	return fmt.Sprintf("%d, %d bytes", len(s.sealed.GetAnnotations()), size), nil
}

func (s *suite) quick(ctx context.Context) (string, error) {
	took := make([]time.Duration, 21)
	for i := range took {
		begun := time.Now()
		if _, err := s.c.Status(ctx); err != nil {
			return "", err
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	median := took[len(took)/2].Round(time.Microsecond)
	if median > slow {
		return "", fmt.Errorf("half of the calls take %v or more: does each of them ask the key store?", median)
	}
	return fmt.Sprintf("half of the calls take %v or less", median), nil
}

// still asks what is to be refused, and then whether what is right is still decrypted:
// a plugin that fails with everything refuses nothing.
func (s *suite) still(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		detail, err := ask(ctx)
		if err != nil {
			return detail, err
		}
		if err := s.opens(ctx, s.c, s.sealed); err != nil {
			return "", fmt.Errorf("after that it does not decrypt what is right either: %w", err)
		}
		return detail, nil
	}
}

// refusal is an error unless err, what the plugin made of what, is a refusal. That it
// is away, or has too much to do, is none.
func refusal(what, done string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s is %s", what, done)
	case errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Exhausted):
		return fmt.Errorf("%s is neither %s nor refused: %w", what, done, err)
	}
	return nil
}

// refused is an error unless Decrypt refuses what is right, changed.
func (s *suite) refused(ctx context.Context, what string, change func(*v2.EncryptResponse)) error {
	bad := &v2.EncryptResponse{Ciphertext: slices.Clone(s.sealed.GetCiphertext()), KeyId: s.sealed.GetKeyId(), Annotations: map[string][]byte{}}
	for name, value := range s.sealed.GetAnnotations() {
		bad.Annotations[name] = slices.Clone(value)
	}
	change(bad)
	_, err := s.c.Decrypt(ctx, bad)
	return refusal(what, "decrypted", err)
}

func (s *suite) flipped(ctx context.Context) (string, error) {
	n := len(s.sealed.GetCiphertext())
	for i := range n {
		if err := s.refused(ctx, fmt.Sprintf("a ciphertext with byte %d changed", i), func(r *v2.EncryptResponse) { r.Ciphertext[i] ^= 1 << (i % 8) }); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("in each of %d bytes", n), nil
}

func (s *suite) cut(ctx context.Context) (string, error) {
	for _, n := range []int{1, len(s.sealed.GetCiphertext()) / 2, len(s.sealed.GetCiphertext()) - 1} {
		if err := s.refused(ctx, fmt.Sprintf("a ciphertext cut to %d bytes", n), func(r *v2.EncryptResponse) { r.Ciphertext = r.Ciphertext[:n] }); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (s *suite) otherKey(ctx context.Context) (string, error) {
	for _, id := range []string{"", "1", s.keyID + "0", strings.Repeat("k", 2*maxKeyID)} {
		if err := s.refused(ctx, fmt.Sprintf("a ciphertext with key id %q", short(id)), func(r *v2.EncryptResponse) { r.KeyId = id }); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (s *suite) otherAnnotations(ctx context.Context) (string, error) {
	if len(s.sealed.GetAnnotations()) == 0 {
		return "there are none", nil
	}
	for _, c := range []struct {
		what   string
		change func(*v2.EncryptResponse)
	}{
		{"a ciphertext without annotations", func(r *v2.EncryptResponse) { r.Annotations = nil }},
		{"a ciphertext with changed annotations", func(r *v2.EncryptResponse) {
			for name := range r.Annotations {
				r.Annotations[name] = []byte("changed")
			}
		}},
		{"a ciphertext with one annotation more", func(r *v2.EncryptResponse) { r.Annotations["more.example.com"] = []byte("1") }},
	} {
		if err := s.refused(ctx, c.what, c.change); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (s *suite) empty(ctx context.Context) (string, error) {
	_, err := s.c.Encrypt(ctx, nil)
	if err := refusal("nothing", "encrypted", err); err != nil {
		return "", err
	}
	return "", s.refused(ctx, "an empty ciphertext", func(r *v2.EncryptResponse) { r.Ciphertext = nil })
}

func (s *suite) crowd(ctx context.Context) (string, error) {
	failures := make([]error, 100)
	var all sync.WaitGroup
	for i := range failures {
		all.Go(func() {
			sealed, err := s.c.Encrypt(ctx, s.plain)
			if err == nil {
				err = s.opens(ctx, s.c, sealed)
			}
			failures[i] = err
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func (s *suite) peer(ctx context.Context, socket string) (string, error) {
	c, err := Dial(socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	a, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	if a.GetKeyId() != s.keyID {
		return "", fmt.Errorf("its key id is %s, and here %s: API servers would rewrite each other's objects for ever", short(a.GetKeyId()), short(s.keyID))
	}
	theirs, err := c.Encrypt(ctx, s.plain)
	if err != nil {
		return "", err
	}
	if err := s.opens(ctx, s.c, theirs); err != nil {
		return "", fmt.Errorf("what it encrypts is not decrypted here: %w", err)
	}
	if err := s.opens(ctx, c, s.sealed); err != nil {
		return "", fmt.Errorf("what is encrypted here it does not decrypt: %w", err)
	}
	return "key id " + short(s.keyID), nil
}

// short is a text of a plugin's, for people.
func short(text string) string {
	const limit = 80
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
