package token

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is the folder of everything a Manager stores. Its names hold keyed
// hashes only; the sealed decorator leaves them as they are.
const Prefix = "token/"

// RecordPrefix is the folder of the tokens themselves.
const RecordPrefix = Prefix + "id/"

const (
	idPrefix       = RecordPrefix
	accessorPrefix = Prefix + "accessor/"
	// nsAccessorPrefix is followed by a namespace's ID.
	nsAccessorPrefix = Prefix + "nsaccessor/"
	childPrefix      = Prefix + "child/"
	tidyKey          = Prefix + "tidy"
)

// Reader is what looking up needs. *store.Txn, engine.Tx and store.Store have it.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Tx is what changing needs: a view of the whole store, not of one mount.
type Tx interface {
	Reader
	Put(key string, value []byte)
	Delete(key string)
}

// Gone drops what others keep for a token (cubbyhole), in the transaction that
// removes the token. With more set it has not finished, because there was too
// much for one commit, and is called again in the background. It must bear to be
// called for a token it knows nothing of.
type Gone func(ctx context.Context, tx Tx, tokenKey string) (more bool, err error)

// Config of a Manager.
type Config struct {
	// Key is 32 bytes or more that only the unsealed vault knows and that never
	// change: with another key no token is found again.
	Key    redact.Secret
	Now    func() time.Time // time.Now if nil
	Random io.Reader        // crypto/rand if nil
	Gone   Gone             // may be nil
	// Lost reports whether the auth method with this MountID was disabled: its
	// tokens, and all that they created, are not valid any more. nil = never.
	Lost func(mountID string) bool
	// LostNamespace reports the same of a namespace, which is never the root. nil = never.
	LostNamespace func(id string) bool
}

// Manager is the rules and the layout of tokens; all state is in the
// transactions it is given. Any number of goroutines may use it at once.
type Manager struct {
	now    func() time.Time
	random io.Reader
	gone   Gone
	lost   func(mountID string) bool
	// lostNamespace is not asked of the root.
	lostNamespace func(id string) bool
	batchKey      []byte
	opened        openedBatches
	ids           hashPool
	accessor      hashPool
}

// New returns a Manager. Kind Invalid: the key is too short.
func New(cfg Config) (*Manager, error) {
	if cfg.Key.Len() < 32 {
		return nil, errs.Newf(errs.Invalid, "the key for tokens has %d bytes; 32 are needed", cfg.Key.Len())
	}
	m := &Manager{now: cfg.Now, random: cfg.Random, gone: cfg.Gone}
	if m.now == nil {
		m.now = time.Now
	}
	if m.random == nil {
		m.random = rand.Reader
	}
	if m.gone == nil {
		m.gone = func(context.Context, Tx, string) (bool, error) { return false, nil }
	}
	if lost := cfg.Lost; lost != nil {
		m.lost = func(mountID string) bool { return mountID != "" && lost(mountID) }
	} else {
		m.lost = func(string) bool { return false }
	}
	if m.lostNamespace = cfg.LostNamespace; m.lostNamespace == nil {
		m.lostNamespace = func(string) bool { return false }
	}
	keys := make([][]byte, 3)
	for i, use := range []string{"token id", "token accessor", "batch token"} {
		// RFC 5869: one independent key per use, so that a hash of an accessor
		// can never be the hash of a token.
		key, err := hkdf.Key(sha256.New, cfg.Key.Reveal(), nil, "strongkeep "+use+" v1", sha256.Size)
		if err != nil {
			return nil, errs.Newf(errs.Internal, "deriving the key for %s: %w", use, err)
		}
		keys[i] = key
	}
	m.ids.init(keys[0], idPrefix)
	m.accessor.init(keys[1], accessorPrefix)
	m.batchKey = keys[2]
	return m, nil
}

// TokenKey returns the Key under which the given token is or would be known.
func (m *Manager) TokenKey(clientToken string) string {
	return m.ids.path(clientToken)[len(idPrefix):]
}

// hashPool keeps keyed HMAC states, because keying one costs as much as hashing
// a token.
type hashPool struct{ pool sync.Pool }

type hashState struct {
	mac    hash.Hash
	in     []byte // copy of the secret; wiped after use
	sum    []byte
	out    []byte // prefix, then room for the hash
	prefix int
}

const hashLen = 43 // of 32 bytes in unpadded base64url

func (p *hashPool) init(key []byte, prefix string) {
	p.pool.New = func() any {
		s := &hashState{mac: hmac.New(sha256.New, key), prefix: len(prefix)}
		s.sum = make([]byte, 0, sha256.Size)
		s.out = append(make([]byte, 0, len(prefix)+hashLen), prefix...)
		return s
	}
}

// path returns prefix + base64url(HMAC-SHA256(key, secret)). That a lookup by
// this name is not of constant time tells an attacker nothing: to steer the
// hash one would need the key.
func (p *hashPool) path(secret string) string {
	s := p.pool.Get().(*hashState)
	defer p.pool.Put(s)
	s.in = append(s.in[:0], secret...)
	s.mac.Reset()
	s.mac.Write(s.in)
	s.sum = s.mac.Sum(s.sum[:0])
	clear(s.in)
	s.out = base64.RawURLEncoding.AppendEncode(s.out[:s.prefix], s.sum)
	return string(s.out)
}
