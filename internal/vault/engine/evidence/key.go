package evidence

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// maxKeys bounds how often keys are rotated: all are listed in one answer.
const maxKeys = 1000

// state is stored at "state".
type state struct {
	Current  int    `json:"current"`
	Accessor []byte `json:"accessor"` // key of the digests of accessors
}

// signer is stored at "key/N".
type signer struct {
	Seed    []byte    `json:"seed"` // of Ed25519 (RFC 8032 §5.1.5)
	Created time.Time `json:"created"`
	// Endorsement is the envelope by which the key before it speaks for it; empty
	// for the first.
	Endorsement jsontext.Value `json:"endorsement,omitzero"`
}

func keyName(n int) string { return "key/" + strconv.Itoa(n) }

// draw returns n random bytes.
func (e *Engine) draw(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.cfg.Random, b); err != nil {
		return nil, errs.Newf(errs.Unavailable, "drawing randomness for a key: %w", err)
	}
	return b, nil
}

// begin makes the state of a new mount.
func (e *Engine) begin(tx engine.Tx) error {
	accessor, err := e.draw(sha256.Size)
	if err != nil {
		return err
	}
	seed, err := e.draw(ed25519.SeedSize)
	if err != nil {
		return err
	}
	if err := put(tx, "state", state{Current: 1, Accessor: accessor}); err != nil {
		return err
	}
	return put(tx, keyName(1), signer{Seed: seed, Created: e.cfg.Now()})
}

// loadState returns the mount's state.
func loadState(ctx context.Context, tx engine.Tx) (state, error) {
	var s state
	ok, err := get(ctx, tx, "state", &s)
	if err == nil && !ok {
		err = errs.New(errs.Internal, "an evidence engine has no state: it was never set up")
	}
	return s, err
}

// loadKey returns key n.
func loadKey(ctx context.Context, tx engine.Tx, n int) (signer, ed25519.PrivateKey, error) {
	var s signer
	ok, err := get(ctx, tx, keyName(n), &s)
	if err == nil && (!ok || len(s.Seed) != ed25519.SeedSize) {
		err = errs.Newf(errs.Internal, "key %d of an evidence engine is missing or damaged", n)
	}
	if err != nil {
		return signer{}, nil, err
	}
	return s, ed25519.NewKeyFromSeed(s.Seed), nil
}

// public returns the public half, in PEM, and its name.
func public(key ed25519.PrivateKey) (text, id string, err error) {
	half, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", "", errs.New(errs.Internal, "a key of an evidence engine has no public half")
	}
	if id, err = attest.KeyID(half); err != nil {
		return "", "", err
	}
	text, err = attest.EncodeKey(half)
	return text, id, err
}

// author says who asks, as far as it can be told without anybody's secret.
func (s state) author(c engine.Caller) attest.Author {
	a := attest.Author{DisplayName: c.DisplayName, EntityID: c.EntityID, Metadata: c.Metadata}
	if c.Accessor != "" {
		mac := hmac.New(sha256.New, s.Accessor)
		mac.Write([]byte(c.Accessor))
		a.Accessor = "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
	}
	return a
}

// keys answers with what verifiers need.
func (e *Engine) keys(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := loadState(ctx, tx)
	if err != nil {
		return nil, err
	}
	var all strings.Builder
	list, current := engine.NewObject(), ""
	for n := 1; n <= s.Current; n++ {
		k, private, err := loadKey(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		text, id, err := public(private)
		if err != nil {
			return nil, err
		}
		all.WriteString(text)
		current = id
		one := engine.NewObject().Str("id", id).Str("public_key", text).Time("created", k.Created)
		if k.Endorsement != nil {
			one = one.Raw("endorsement", k.Endorsement)
		}
		list = list.Obj(strconv.Itoa(n), one)
	}
	return &engine.Response{Data: engine.NewObject().Str("log", e.cfg.MountID).Int("current", int64(s.Current)).Str("current_id", current).
		Str("public_keys", all.String()).Obj("keys", list).Value()}, nil
}

// rotate makes a new key, for which the present one speaks.
func (e *Engine) rotate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	s, err := loadState(ctx, tx)
	if err != nil {
		return nil, err
	}
	if s.Current >= maxKeys {
		return nil, errs.Newf(errs.Exhausted, "the engine has had %d keys, which is the limit: mount another one", s.Current)
	}
	_, old, err := loadKey(ctx, tx, s.Current)
	if err != nil {
		return nil, err
	}
	seed, err := e.draw(ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	text, id, err := public(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, err
	}
	s.Current++
	endorsement, err := attest.Endorse(old, attest.NextKey{Log: e.cfg.MountID, Version: s.Current, PublicKey: text})
	if err != nil {
		return nil, err
	}
	if err := put(tx, keyName(s.Current), signer{Seed: seed, Created: req.Time, Endorsement: endorsement}); err != nil {
		return nil, err
	}
	if err := put(tx, "state", s); err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Int("current", int64(s.Current)).Str("current_id", id).Str("public_key", text).Value()}, nil
}
