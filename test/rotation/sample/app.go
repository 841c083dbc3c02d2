package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what the application tells of itself. It holds no secret.
type Stats struct {
	Name    string `json:"name"`
	User    string `json:"user"` // that logs in now
	Queries int64  `json:"queries"`
	// Failures are queries that did not work, for whatever reason, and new
	// credentials that did not; Refused are those of them that the database refused
	// for the credential.
	Failures  int64  `json:"failures"`
	Refused   int64  `json:"refused"`
	LastError string `json:"lastError,omitempty"`
	Logins    int64  `json:"logins"`
	Reloads   int64  `json:"reloads"`
	// Users is how many queries worked as whom.
	Users map[string]int64 `json:"users"`
	Final bool             `json:"final"` // nothing comes after it
}

// app is the running application.
type app struct {
	config
	logins   atomic.Int64
	works    atomic.Bool    // the last query did
	draining sync.WaitGroup // of pools that were replaced

	mu    sync.Mutex // guards what follows
	pool  *pool
	now   Stats
	using credential
	older int // pools of older credentials that somebody still uses
}

func newApp(c config, first credential) (*app, error) {
	a := &app{config: c, using: first, now: Stats{Name: c.name, Users: map[string]int64{}}}
	var err error
	a.pool, err = open(c, first, &a.logins)
	return a, err
}

// work queries until ctx ends. A query that has begun goes to its end, and counts.
func (a *app) work(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		p := a.borrow()
		err := p.ask(whole)
		a.count(p, err)
		p.users.Done()
		pause(ctx, a.every)
	}
}

// borrow returns the present pool, which is not drained before users.Done.
func (a *app) borrow() *pool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pool.users.Add(1)
	return a.pool
}

func (a *app) count(p *pool, err error) {
	a.works.Store(err == nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now.Queries++
	if err == nil {
		a.now.Users[p.user]++
		return
	}
	a.fail(p, err)
}

// fail counts a failure; a.mu is held.
func (a *app) fail(p *pool, err error) {
	a.now.Failures++
	if refused(err) {
		a.now.Refused++
	}
	a.now.LastError = "as " + p.user + ": " + p.text(err)
}

// follow reads the files again and again until ctx ends, and goes over to a
// credential that is new: the new connections are there before the old ones go.
func (a *app) follow(ctx context.Context) {
	if a.source != fromFile || a.reload == 0 {
		return
	}
	for {
		pause(ctx, a.reload)
		if ctx.Err() != nil {
			return
		}
		next, err := a.credential()
		if err != nil || next == a.using { // a file that is away comes again
			continue
		}
		a.change(ctx, next)
	}
}

func (a *app) change(ctx context.Context, next credential) {
	p, err := open(a.config, next, &a.logins)
	if err == nil {
		err = p.ask(context.WithoutCancel(ctx))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if p != nil {
			a.fail(p, err)
			p.drain()
		}
		return // and try again
	}
	a.older++
	old := a.pool
	a.draining.Go(func() { // its queries go to their end
		old.drain()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.older--
	})
	a.pool, a.using = p, next
	a.now.Reloads++
}

func (a *app) close() {
	a.mu.Lock()
	p := a.pool
	a.mu.Unlock()
	p.drain()
	a.draining.Wait()
}

// stats are the present ones as JSON.
func (a *app) stats(final bool) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now.User, a.now.Logins, a.now.Final = a.pool.user, a.logins.Load(), final
	text, err := json.Marshal(a.now)
	if err != nil {
		return []byte("{}") // numbers and strings can always be encoded
	}
	return text
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(a.stats(false))
	})
	mux.HandleFunc("GET /credential", a.prove)
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		told := a.unreadyAs != "" && a.pool.user == a.unreadyAs
		a.mu.Unlock()
		if told || !a.works.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// prove answers who asks which credential is in use, by a digest under a key of
// his that nobody can make without the password (docs/rotation/evidence.md).
// While an older pool is in use, there is no one answer.
func (a *app) prove(w http.ResponseWriter, r *http.Request) {
	nonce, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("nonce"))
	if err != nil || len(nonce) < minNonce {
		http.Error(w, "nonce must be base64url of at least 16 bytes", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	using, older := a.using, a.older
	a.mu.Unlock()
	if older > 0 {
		http.Error(w, "an older credential is in use too", http.StatusServiceUnavailable)
		return
	}
	mac := hmac.New(sha256.New, nonce)
	_, _ = mac.Write([]byte(using.password)) // never fails (hash.Hash)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"key": "password", "digest": base64.StdEncoding.EncodeToString(mac.Sum(nil))})
}

// minNonce is in bytes.
const minNonce = 16

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
