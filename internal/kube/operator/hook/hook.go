package hook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Stores knows the stores' keys and topics. session.Pool is one.
type Stores interface {
	HookKey(ctx context.Context, store v1.Store) (redact.Secret, error)
	Changed(ctx context.Context, store v1.Store, key string) (topic string, err error)
}

// Config is what a Handler needs. All fields are required.
type Config struct {
	// Store returns a store that this operator answers for.
	Store  func(ctx context.Context, key v1.StoreKey) (v1.Store, error)
	Stores Stores
	Report func(store v1.StoreKey, c provider.Change)
	// Elected is closed when this operator is the one that works.
	Elected <-chan struct{}
	Clock   clock.PassiveClock
	Log     *slog.Logger
}

// The request:
//
//	POST /changes/NAMESPACE/STORE        a SecretStore
//	POST /changes/STORE                  a ClusterSecretStore
//	Strongkeep-Timestamp: 1767225600
//	Strongkeep-Signature: v1=HEX
//
//	{"keys":["shop/db","shop/api"]}
//
// HEX is HMAC-SHA256 (RFC 2104) under the key over "v1:TIMESTAMP:NAMESPACE/STORE:BODY";
// for a ClusterSecretStore "v1:TIMESTAMP:STORE:BODY".
const (
	headerTimestamp = "Strongkeep-Timestamp"
	headerSignature = "Strongkeep-Signature"
	version         = "v1"
)

const (
	// window is how far the clock of who signs may be off, and how long a signature is good.
	window  = 5 * time.Minute
	maxBody = 64 << 10
	maxKeys = 1000
	maxKey  = 2048
	// Requests of everybody, before anything is looked at.
	allPerSecond = rate.Limit(100)
	allBurst     = 200
	// Reports of one store that are signed rightly.
	storePerSecond = rate.Limit(5)
	storeBurst     = 50
)

// Handler serves reports. It is safe for concurrent use.
type Handler struct {
	cfg   Config
	mux   *http.ServeMux
	all   *rate.Limiter
	decoy []byte // key for stores that have none: all refusals take the same work
	each  limits
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), all: rate.NewLimiter(allPerSecond, allBurst), decoy: make([]byte, sha256.Size)}
	if _, err := rand.Read(h.decoy); err != nil {
		return nil, errs.Newf(errs.Internal, "reading random bytes: %w", err)
	}
	h.mux.HandleFunc("POST /changes/{namespace}/{store}", func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, v1.StoreKey{Kind: v1.KindSecretStore, Namespace: r.PathValue("namespace"), Name: r.PathValue("store")})
	})
	h.mux.HandleFunc("POST /changes/{store}", func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, v1.StoreKey{Kind: v1.KindClusterSecretStore, Name: r.PathValue("store")})
	})
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.all.AllowN(h.cfg.Clock.Now(), 1) {
		later(w, http.StatusTooManyRequests, "too many requests")
		return
	}
	h.mux.ServeHTTP(w, r)
}

func later(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, words, status)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, key v1.StoreKey) {
	select {
	case <-h.cfg.Elected:
	default:
		later(w, http.StatusServiceUnavailable, "another operator is at work: ask again")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			http.Error(w, "the body is over 64 KiB: send several", http.StatusRequestEntityTooLarge)
		}
		return
	}
	store, ok := h.verify(r, key, body)
	if !ok {
		http.Error(w, "no such store, or not its signature", http.StatusUnauthorized)
		return
	}
	if !h.each.allow(key, h.cfg.Clock.Now()) {
		later(w, http.StatusTooManyRequests, "too many reports of this store: put several keys into one")
		return
	}
	keys, err := keysOf(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.report(r.Context(), store, keys); err != nil {
		h.cfg.Log.Info("a report of changes is not taken", "store", key.String(), "reason", err)
		later(w, http.StatusServiceUnavailable, "the store cannot be opened: ask again")
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// verify returns the store if the signature is its own, of now. Whatever is wrong, the
// work is the same and the answer no other.
func (h *Handler) verify(r *http.Request, key v1.StoreKey, body []byte) (store v1.Store, ok bool) {
	secret := h.decoy
	store, err := h.cfg.Store(r.Context(), key)
	if err == nil {
		var known redact.Secret
		if known, err = h.cfg.Stores.HookKey(r.Context(), store); err == nil {
			secret = known.Reveal()
		}
	}
	stamp := r.Header.Get(headerTimestamp)
	name := key.Name
	if key.Namespace != "" {
		name = key.Namespace + "/" + key.Name
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(version + ":" + stamp + ":" + name + ":"))
	mac.Write(body)
	given, hexErr := hex.DecodeString(strings.TrimPrefix(r.Header.Get(headerSignature), version+"="))
	right := hmac.Equal(given, mac.Sum(nil))
	switch {
	case err != nil:
		h.cfg.Log.Debug("a report of changes is refused", "store", key.String(), "reason", err)
		return nil, false
	case !right || hexErr != nil || !h.current(stamp):
		h.cfg.Log.Debug("a report of changes is refused", "store", key.String(), "reason", "the signature is wrong or of another time")
		return nil, false
	}
	return store, true
}

// current reports whether stamp, in Unix seconds, is about now.
func (h *Handler) current(stamp string) bool {
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || at < 0 || at > 1<<40 {
		return false
	}
	off := h.cfg.Clock.Now().Sub(time.Unix(at, 0))
	return off.Abs() <= window
}

// keysOf reads a body strictly. Its errors hold nothing of it.
func keysOf(body []byte) ([]string, error) {
	var in struct {
		Keys []string `json:"keys"`
	}
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil {
		return nil, errs.New(errs.Invalid, `the body is not {"keys":["KEY"]}`)
	}
	if len(in.Keys) == 0 || len(in.Keys) > maxKeys {
		return nil, errs.Newf(errs.Invalid, "the body has %d keys: give 1 to %d", len(in.Keys), maxKeys)
	}
	for _, k := range in.Keys {
		if k == "" || len(k) > maxKey {
			return nil, errs.Newf(errs.Invalid, "a key has %d bytes: it has 1 to %d", len(k), maxKey)
		}
	}
	return in.Keys, nil
}

func (h *Handler) report(ctx context.Context, store v1.Store, keys []string) error {
	for _, k := range keys {
		topic, err := h.cfg.Stores.Changed(ctx, store, k)
		if err != nil {
			return err
		}
		if topic != "" {
			h.cfg.Report(v1.KeyOf(store), provider.Change{Topic: topic})
		}
	}
	return nil
}
