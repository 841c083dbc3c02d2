package jwt

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// stateLife is how long a person has to log in at the provider.
const stateLife = 5 * time.Minute

// state is what must be known when the browser comes back. It travels in the
// state parameter, sealed with AES-256-GCM under the mount's key with a random
// 96-bit nonce, so that nothing is stored for strangers who begin a login. That
// it is used once only follows from the code, which the provider takes once.
type state struct {
	Role     string    `json:"role"`
	Redirect string    `json:"redirect"`
	Nonce    string    `json:"nonce"`    // for the ID token
	Verifier string    `json:"verifier"` // of PKCE (RFC 7636)
	Client   []byte    `json:"client"`   // SHA-256 of the client's nonce
	Expires  time.Time `json:"expires"`
}

var errState = errs.New(errs.Invalid, "Expired or missing OAuth state: begin the login anew")

// authURL begins a browser login.
func (e *Engine) authURL(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	name, redirect, nonce := d.String("role", ""), d.String("redirect_uri", ""), d.String("client_nonce", "")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case redirect == "":
		return nil, errs.New(errs.Invalid, "missing redirect_uri")
	}
	i, r, err := e.load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if err := oidcRole(i, r); err != nil {
		return nil, err
	}
	if !allowsRedirect(r.Redirects, redirect) {
		return nil, errs.Newf(errs.Invalid, "unauthorized redirect_uri: have it added to allowed_redirect_uris of %srole/%s", e.cfg.MountPath(), r.Name)
	}
	if _, _, err := i.known(ctx, false); i.endpoints().Authorization == "" {
		if err == nil {
			err = errs.New(errs.Unavailable, "the issuer's discovery document names no authorization_endpoint")
		}
		return nil, err
	}
	s := state{Role: r.Name, Redirect: redirect, Client: digest(nonce), Expires: req.Time.Add(stateLife)}
	if err := e.random(&s.Nonce, &s.Verifier); err != nil {
		return nil, err
	}
	sealed, err := e.seal(ctx, tx, s)
	if err != nil {
		return nil, err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(s.Verifier), oauth2.SetAuthURLParam("nonce", s.Nonce)}
	if r.MaxAge > 0 {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(r.MaxAge, 10)))
	}
	return &engine.Response{Data: engine.NewObject().Str("auth_url", i.oauth(r, redirect).AuthCodeURL(sealed, options...)).Value()}, nil
}

func oidcRole(i *issuer, r *role) error {
	switch {
	case r.Kind != typeOIDC:
		return errs.New(errs.Invalid, "role with jwt role_type is not allowed: it is for workloads that hold a JWT")
	case i.cfg.ClientID == "":
		return errs.New(errs.Invalid, "no oidc_client_id is configured: this mount has no browser logins")
	}
	return nil
}

// allowsRedirect compares whole addresses; the port of a loopback address is
// free (RFC 8252, 7.3), as command lines take any.
func allowsRedirect(allowed []string, asked string) bool {
	if slices.Contains(allowed, asked) {
		return true
	}
	u, err := url.Parse(asked)
	if err != nil || u.Scheme != "http" || !loopback(u.Hostname()) {
		return false
	}
	return slices.ContainsFunc(allowed, func(text string) bool {
		a, err := url.Parse(text)
		return err == nil && a.Scheme == u.Scheme && a.Hostname() == u.Hostname() && a.Path == u.Path && a.RawQuery == u.RawQuery && u.User == nil
	})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// callback ends a browser login.
func (e *Engine) callback(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	sealed, code, nonce := d.String("state", ""), d.String("code", ""), d.String("client_nonce", "")
	failed := d.String("error", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	s, err := e.open(ctx, tx, sealed)
	if err != nil {
		return nil, err
	}
	switch {
	case req.Time.After(s.Expires):
		return nil, errState
	case subtle.ConstantTimeCompare(s.Client, digest(nonce)) != 1:
		return nil, errs.New(errs.Invalid, "invalid client_nonce: the login was begun by somebody else")
	case failed != "":
		return nil, errs.New(errs.Denied, "the provider refused the login; what it says is in the browser's address")
	case code == "":
		return nil, errs.New(errs.Invalid, "OAuth code parameter not provided")
	}
	i, r, err := e.load(ctx, tx, s.Role)
	if err != nil {
		return nil, err
	}
	if err := oidcRole(i, r); err != nil {
		return nil, err
	}
	if err := allowed(r, req); err != nil {
		return nil, err
	}
	c, err := e.once.do(req.ID, func() (claims, error) { return i.exchange(ctx, r, s, code, req.Time) })
	if err != nil {
		return nil, err
	}
	a, err := r.admit(c)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Auth: a}, nil
}

func (i *issuer) endpoints() discovery {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.doc
}

func (i *issuer) oauth(r *role, redirect string) *oauth2.Config {
	doc := i.endpoints()
	return &oauth2.Config{
		ClientID: i.cfg.ClientID, ClientSecret: i.cfg.Secret, RedirectURL: redirect,
		Endpoint: oauth2.Endpoint{AuthURL: doc.Authorization, TokenURL: doc.Token},
		Scopes:   append([]string{"openid"}, r.Scopes...),
	}
}

// exchange buys the ID token for the code and returns its claims, with those of
// the user info beside them where the provider has that.
func (i *issuer) exchange(ctx context.Context, r *role, s *state, code string, now time.Time) (claims, error) {
	if _, _, err := i.known(ctx, false); i.endpoints().Token == "" {
		if err == nil {
			err = errs.New(errs.Unavailable, "the issuer's discovery document names no token_endpoint")
		}
		return nil, err
	}
	token, err := i.oauth(r, s.Redirect).Exchange(context.WithValue(ctx, oauth2.HTTPClient, i.client), code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return nil, errs.New(errs.Denied, "error exchanging oidc code: the provider does not take it; begin the login anew")
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, errs.New(errs.Denied, "the provider gave no ID token: does the client have the scope openid?")
	}
	payload, err := i.verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if err := i.checkIDToken(c, r, s, now); err != nil {
		return nil, err
	}
	return i.withUserInfo(ctx, c, token.AccessToken), nil
}

// checkIDToken is OpenID Connect Core, 3.1.3.7.
func (i *issuer) checkIDToken(c claims, r *role, s *state, now time.Time) error {
	issuer, _ := c.text("iss")
	nonce, _ := c.text("nonce")
	switch {
	case issuer != i.endpoints().Issuer:
		return errs.New(errs.Denied, "error validating ID token: invalid issuer (iss) claim")
	case !slices.Contains(c.list("aud"), i.cfg.ClientID):
		return errs.New(errs.Denied, "error validating ID token: it is for another client")
	case subtle.ConstantTimeCompare([]byte(nonce), []byte(s.Nonce)) != 1:
		return errs.New(errs.Denied, "error validating ID token: invalid nonce")
	case len(r.Audiences) > 0 && !fits(c.list("aud"), r.Audiences, false):
		return errs.New(errs.Denied, "error validating ID token: its audience is not one of the role's bound_audiences")
	}
	if r.MaxAge > 0 {
		at, ok, err := c.seconds("auth_time")
		if err != nil {
			return err
		}
		if !ok || now.Sub(at) > time.Duration(r.MaxAge)*time.Second+leeway(r.ClockSkew, time.Minute) {
			return errs.New(errs.Denied, "error validating ID token: the person proved itself longer ago than the role's max_age")
		}
	}
	return c.checkTimes(now, r)
}

// withUserInfo adds what the provider says of the same person elsewhere; the ID
// token's own claims win. Many providers name groups only there.
func (i *issuer) withUserInfo(ctx context.Context, c claims, access string) claims {
	address := i.endpoints().UserInfo
	if address == "" || access == "" {
		return c
	}
	var more map[string]any
	if i.get(ctx, address, access, &more) != nil {
		return c
	}
	who, ok := c.text("sub")
	if sub, same := claims(more).text("sub"); !ok || !same || sub != who {
		return c // nobody's, or another's
	}
	for name, v := range more {
		if _, there := c[name]; !there {
			c[name] = v
		}
	}
	return c
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func (e *Engine) random(into ...*string) error {
	for _, s := range into {
		b := make([]byte, 32)
		if _, err := io.ReadFull(e.cfg.Random, b); err != nil {
			return errs.Newf(errs.Internal, "reading randomness: %w", err)
		}
		*s = base64.RawURLEncoding.EncodeToString(b)
	}
	return nil
}

func (e *Engine) aead(ctx context.Context, tx engine.Tx) (cipher.AEAD, error) {
	key, err := tx.Get(ctx, stateKey)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key.Value)
	if err != nil {
		return nil, errs.New(errs.Internal, "the jwt method has lost the key of its states")
	}
	return cipher.NewGCM(block)
}

func (e *Engine) seal(ctx context.Context, tx engine.Tx, s state) (string, error) {
	aead, err := e.aead(ctx, tx)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a state: %w", err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(e.cfg.Random, nonce); err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(stateKey))), nil
}

func (e *Engine) open(ctx context.Context, tx engine.Tx, text string) (*state, error) {
	aead, err := e.aead(ctx, tx)
	if err != nil {
		return nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < aead.NonceSize() {
		return nil, errState
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], []byte(stateKey))
	if err != nil {
		return nil, errState
	}
	s := new(state)
	if json.Unmarshal(plain, s) != nil {
		return nil, errState
	}
	if _, err := auth.CleanName("role", s.Role); err != nil {
		return nil, errState
	}
	return s, nil
}

// exchanges keeps what a code bought for as long as its request may be run
// again: the provider takes a code once. Failures are not kept, for a request
// that fails is not run again, and anybody can make one.
type exchanges struct {
	now func() time.Time

	mu   sync.Mutex
	done map[string]exchanged // by request ID
}

type exchanged struct {
	claims claims
	at     time.Time
}

func (x *exchanges) do(id string, exchange func() (claims, error)) (claims, error) {
	x.mu.Lock()
	for old, e := range x.done {
		if x.now().Sub(e.at) > time.Minute {
			delete(x.done, old)
		}
	}
	e, ok := x.done[id]
	x.mu.Unlock()
	if ok {
		return e.claims, nil
	}
	c, err := exchange() // a request is run by one goroutine
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil {
		x.done = map[string]exchanged{}
	}
	x.done[id] = exchanged{c, x.now()}
	return c, nil
}
