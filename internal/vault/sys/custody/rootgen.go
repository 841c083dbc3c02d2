package custody

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/recipient"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// otpLength is that of the token that it veils, a character each.
const otpLength = token.ServiceLen

// idleRoot is after how long an attempt that a share of an unchecked set began gives way to another.
const idleRoot = 10 * time.Minute

// rootgen is a root token on its way: it is made when enough shares were given, and only whoever began it can read it.
type rootgen struct {
	nonce     string
	from      seal.Set
	otp       redact.Secret        // empty with a recipient
	to        *recipient.Recipient // nil = by otp
	shares    given
	by        string    // the request that they were complete with; it may run again
	unchecked time.Time // when it was begun by a share that could not be checked; zero = it was
}

func (d *Desk) endRoot() {
	if r := d.root; r != nil {
		r.shares.Wipe()
		r.otp.Wipe()
	}
	d.root = nil
}

func (d *Desk) rootRoutes() []engine.Route {
	nonce := engine.Field{Name: "nonce", Type: engine.String, Help: "of what is under way"}
	return []engine.Route{
		{
			Pattern: "generate-root/attempt", Unauthenticated: true, Recognises: true,
			Summary: "A root token by shares: begin (with a token, or with one of the shares), look, cancel (with a token, or with the nonce).",
			Fields: []engine.Field{
				{Name: "otp", Type: engine.String, Secret: true, Help: "what veils the token: as many characters as it has; made by the server if neither this nor a key is given"},
				{Name: "pgp_key", Type: engine.String, Help: "a public PGP key, base64, that the token is encrypted for"},
				{Name: "age_recipient", Type: engine.String, Help: "or an age recipient"},
				{Name: "key", Type: engine.String, Secret: true, Help: "one of the shares, of who has no token; it counts for nothing else"},
				nonce,
			},
			Handlers: handlers{engine.Read: d.rootStatus, engine.Update: d.rootBegin, engine.Delete: d.rootCancel},
		},
		{
			Pattern: "generate-root/update", Unauthenticated: true, Summary: "Give a share for a root token.",
			Fields:   []engine.Field{{Name: "key", Type: engine.String, Secret: true, Help: "a share"}, nonce},
			Handlers: handlers{engine.Update: d.rootUpdate},
		},
		{
			Pattern: "decode-token", Unauthenticated: true, Summary: "Read a veiled root token by its one-time pad; nothing is looked up. The command line does it without a server.",
			Fields: []engine.Field{
				{Name: "encoded_token", Type: engine.String, Secret: true, Help: "as the last share was answered"},
				{Name: "otp", Type: engine.String, Secret: true, Help: "the one-time pad"},
			},
			Handlers: handlers{engine.Update: decodeToken},
		},
	}
}

func decodeToken(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	f := req.Decode()
	veiled, otp := f.String("encoded_token", ""), f.String("otp", "")
	if err := f.Err(); err != nil {
		return nil, err
	}
	clear, err := Unveil(veiled, otp)
	if err != nil {
		return nil, err
	}
	raw, err := engine.JSON(map[string]any{"token": clear.RevealString()})
	return &engine.Response{Data: raw}, err
}

// Unveil returns the root token that was veiled by a one-time pad. Kind: Invalid.
func Unveil(veiled, otp string) (redact.Secret, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(veiled, "="))
	if err != nil || len(raw) != len(otp) || otp == "" {
		return redact.Secret{}, errs.New(errs.Invalid, "the encoded token and the one-time pad do not belong together: both are copied whole, -decode=ENCODED -otp=OTP; a token for a PGP key or an age recipient is decrypted by those (base64 -d | gpg -d, base64 -d | age -d -i FILE)")
	}
	subtle.XORBytes(raw, raw, []byte(otp))
	if !strings.HasPrefix(string(raw), "hvs.") {
		return redact.Secret{}, errs.New(errs.Invalid, "this one-time pad is not that of the encoded token")
	}
	return redact.New(raw), nil
}

// status is the body of all answers. The caller holds mu.
func (r *rootgen) status(current seal.Set) map[string]any {
	s := map[string]any{
		"nonce": "", "started": false, "progress": 0, "required": current.Threshold, "complete": false,
		"encoded_token": "", "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": otpLength,
	}
	if r != nil {
		s["nonce"], s["started"], s["progress"], s["required"] = r.nonce, true, r.shares.Len(), r.from.Threshold
		if r.by != "" {
			s["complete"], s["progress"] = true, r.from.Threshold
		}
		if r.to != nil {
			s["pgp_fingerprint"] = r.to.Fingerprint
		}
	}
	return s
}

// rootStatus tells the nonce only to who may begin: with it and a share everyone can take part.
func (d *Desk) rootStatus(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	current, err := d.cfg.Barrier.People(ctx)
	if err != nil {
		return nil, err
	}
	allowed := d.may(ctx, tx, req)
	if allowed != nil && !errs.Is(allowed, errs.Denied) {
		return nil, allowed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.root.status(current)
	if allowed != nil {
		s["nonce"] = ""
	}
	return respond(s)
}

// rootBegin needs a token, or a share: who needs a root token may have no other.
func (d *Desk) rootBegin(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	current, err := d.cfg.Barrier.People(ctx)
	if err != nil {
		return nil, err
	}
	r := &rootgen{nonce: uuid.NewString(), from: current}
	if err := d.mayBegin(ctx, tx, req, r); err != nil {
		return nil, err
	}
	made, err := d.veil(req, r)
	if err != nil {
		return nil, err
	}
	busy := errs.New(errs.Invalid, "root generation already in progress: finish or cancel it first")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil && !d.stale() {
		return nil, busy
	}
	answer := r.status(current)
	answer["otp"] = made
	res, err := respond(answer)
	if err != nil {
		return nil, err
	}
	res.After = func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.root != nil && !d.stale() {
			return busy
		}
		d.endRoot()
		d.root = r
		return nil
	}
	return res, nil
}

// stale reports whether the attempt under way holds the place for nothing. The caller holds mu.
func (d *Desk) stale() bool {
	r := d.root
	return !r.unchecked.IsZero() && d.cfg.Now().Sub(r.unchecked) > idleRoot
}

func (d *Desk) mayBegin(ctx context.Context, tx engine.Tx, req *engine.Request, r *rootgen) error {
	allowed := d.may(ctx, tx, req)
	if allowed == nil || !errs.Is(allowed, errs.Denied) {
		return allowed
	}
	if f := req.Decode(); f.String("key", "") == "" {
		return errs.New(errs.Denied, "permission denied: a root token is begun with a token that may (sudo on sys/generate-root/attempt), or with one of the shares (strongkeep operator generate-root -init -share)")
	}
	share, err := shareOf(req, r.from)
	if err != nil {
		return err
	}
	share.Wipe()
	if !r.from.Hashed {
		r.unchecked = d.cfg.Now()
	}
	return nil
}

// veil decides how the token will be shown, and returns the one-time pad if the server made it.
func (d *Desk) veil(req *engine.Request, r *rootgen) (made string, err error) {
	f := req.Decode()
	otp, pgp, age := f.String("otp", ""), f.String("pgp_key", ""), f.String("age_recipient", "")
	if err := f.Err(); err != nil {
		return "", err
	}
	kinds := slices.DeleteFunc([]string{otp, pgp, age}, func(s string) bool { return s == "" })
	switch {
	case len(kinds) > 1:
		return "", errs.New(errs.Invalid, "give one of otp, pgp_key and age_recipient")
	case pgp+age != "":
		to, err := recipient.Parse(pgp+age, d.cfg.Now())
		r.to = &to
		return "", err
	case otp == "":
		if made, err = NewOTP(); err != nil {
			return "", err
		}
		r.otp = redact.FromString(made)
	case len(otp) != otpLength:
		return "", errs.Newf(errs.Invalid, "OTP string is wrong length: it has %d characters, not %d", len(otp), otpLength)
	default:
		r.otp = redact.FromString(otp)
	}
	return made, nil
}

func (d *Desk) rootCancel(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	allowed := d.may(ctx, tx, req)
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.root
	if allowed != nil && (r == nil || !names(req, r.nonce)) {
		return nil, allowed
	}
	return &engine.Response{After: func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.root == r {
			d.endRoot()
		}
		return nil
	}}, nil
}

// rootUpdate takes a share. With the last one the token is made, in the request's own transaction.
func (d *Desk) rootUpdate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := d.namesRoot(req); err != nil { // before storage is asked anything: who guesses costs nothing
		return nil, err
	}
	current, err := d.cfg.Barrier.People(ctx)
	if err != nil {
		return nil, err
	}
	r, answer, warnings, err := d.takeForRoot(req, current)
	if err != nil {
		return nil, err
	}
	if answer["complete"] == false {
		return warned(answer, warnings)
	}
	made, err := d.cfg.Tokens.Create(ctx, tx, token.RootSpec(redact.Secret{}))
	if err != nil {
		return nil, err
	}
	encoded, err := d.encoded(r, made.Token)
	if err != nil {
		return nil, err
	}
	answer["encoded_token"], answer["encoded_root_token"] = encoded, encoded
	res, err := respond(answer)
	if err != nil {
		return nil, err
	}
	res.After = func(ctx context.Context) error {
		d.cfg.Log.WarnContext(ctx, "a root token was made by shares", "accessor", made.Entry.Accessor)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.root == r {
			d.endRoot()
		}
		return nil
	}
	return res, nil
}

var errNoRoot = errs.New(errs.Invalid, "no root generation in progress on this node: shares are given to the node where it was begun")

// namesRoot returns an error unless the request has the nonce of what is under way.
func (d *Desk) namesRoot(req *engine.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.root == nil:
		return errNoRoot
	case !names(req, d.root.nonce):
		return errNonce
	}
	return nil
}

// takeForRoot adds the share of a request. The answer is complete when there are enough.
func (d *Desk) takeForRoot(req *engine.Request, current seal.Set) (r *rootgen, status map[string]any, warnings []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r = d.root
	switch {
	case r == nil:
		return nil, nil, nil, errNoRoot
	case !names(req, r.nonce):
		return nil, nil, nil, errNonce
	case r.from.ID != current.ID:
		return nil, nil, nil, errs.New(errs.Conflict, "the shares were changed by a rekey meanwhile: cancel this and begin again")
	case r.by == req.ID: // its handler runs again
		return r, r.status(current), nil, nil
	case r.by != "":
		return nil, nil, nil, errs.New(errs.Invalid, "the shares are complete: cancel this and begin again, if no token came of it")
	}
	share, err := shareOf(req, r.from)
	if err != nil {
		return nil, nil, nil, err
	}
	if warnings, err = r.shares.add(req, share); err != nil {
		return nil, nil, nil, err
	}
	if r.shares.Len() >= r.from.Threshold {
		err := d.cfg.Barrier.Proves(r.from, r.shares.Shares())
		r.shares.Wipe()
		if err != nil {
			return nil, nil, nil, err
		}
		r.by = req.ID
	}
	return r, r.status(current), warnings, nil
}

// encoded veils the token as other vaults do: by the one-time pad in base64 without padding, or encrypted, in base64.
func (d *Desk) encoded(r *rootgen, t redact.Secret) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != r {
		return "", errs.New(errs.Conflict, "this root generation was cancelled a moment ago")
	}
	if r.to != nil {
		raw, err := r.to.Encrypt(t, d.cfg.Now())
		return base64.StdEncoding.EncodeToString(raw), err
	}
	raw := make([]byte, t.Len())
	if t.Len() != r.otp.Len() {
		return "", errs.Newf(errs.Internal, "a token has %d characters and its one-time pad %d", t.Len(), r.otp.Len())
	}
	subtle.XORBytes(raw, t.Reveal(), r.otp.Reveal())
	return base64.RawStdEncoding.EncodeToString(raw), nil
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewOTP makes a one-time pad for a root token, of characters that people can copy, as other vaults do. Both being letters
// and digits, what is veiled tells a little of each character; of its 91 random ones, far more than 128 bits stay unknown.
func NewOTP() (string, error) {
	out := make([]byte, otpLength)
	for i := range out {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			return "", errs.Newf(errs.Internal, "making a one-time pad: %w", err)
		}
		out[i] = base62[n.Int64()]
	}
	return string(out), nil
}
