package member

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
)

// What nodes ask of each other, beside etcd's own, at the same port.
const (
	statePath  = "/strongkeep/state"
	joinPath   = "/strongkeep/join"
	healthPath = "/strongkeep/health"
	shrinkPath = "/strongkeep/shrink"
	holdPath   = "/strongkeep/hold"
	maxBody    = 64 << 10
	askFor     = 2 * time.Second
)

// state is what a node tells of itself. The certificates of both ends are checked before.
type state struct {
	Name    string            `json:"name"`
	Birth   string            `json:"birth"`
	List    string            `json:"list"`              // Config.list
	Cluster string            `json:"cluster,omitempty"` // as in record
	Births  map[string]string `json:"births,omitempty"`
	URLs    map[string]string `json:"urls,omitempty"`
	Epoch   int               `json:"epoch,omitempty"`
	ID      uint64            `json:"id,omitempty"`     // etcd's, once it runs here
	Leader  uint64            `json:"leader,omitempty"` // 0 = it knows of none
	// Starting is set until its member has caught up. It may serve clients before.
	Starting bool `json:"starting,omitempty"`
}

// application is who asks to be taken in.
type application struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Birth string `json:"birth"`
}

// admission is the answer to it.
type admission struct {
	Cluster string   `json:"cluster"`
	Epoch   int      `json:"epoch,omitempty"`
	Members []Placed `json:"members"`
}

// Placed is a member as etcd has it; Name is "" before its first start.
type Placed struct {
	ID      uint64   `json:"id"`
	Name    string   `json:"name,omitempty"`
	URLs    []string `json:"urls"`
	Learner bool     `json:"learner,omitempty"`
}

// caller asks other nodes.
type caller struct{ http *http.Client }

func newCaller(i *identity.Identity, patience time.Duration) caller {
	return caller{&http.Client{
		// Each question is a connection of its own: answers decide who may form a cluster.
		Transport: &http.Transport{TLSClientConfig: i.Client(), DisableKeepAlives: true},
		Timeout:   patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

func (c caller) state(ctx context.Context, at string) (state, error) {
	var s state
	return s, c.ask(ctx, http.MethodGet, at+statePath, nil, &s)
}

func (c caller) ask(ctx context.Context, method, at string, body, answer any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return errs.Newf(errs.Internal, "asking %s: %w", at, err)
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, content)
	if err != nil {
		return errs.Newf(errs.Internal, "asking %s: %w", at, err)
	}
	r, err := c.http.Do(req)
	if err != nil {
		return errs.Newf(errs.Unavailable, "asking another node: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return errs.Newf(errs.Unavailable, "asking %s: %w", at, err)
	}
	if r.StatusCode != http.StatusOK {
		return errs.Newf(errs.Unavailable, "asking %s: %s: %.500s", at, r.Status, bytes.TrimSpace(raw))
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return errs.Newf(errs.Unavailable, "asking %s: reading the answer: %w", at, err)
	}
	return nil
}

// survey asks the other nodes at once; those that do not answer are left out.
func (c caller) survey(ctx context.Context, peers []Peer) (answers map[string]state, silent []error) {
	answers = make(map[string]state, len(peers))
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() {
			s, err := c.state(ctx, p.URL)
			if err == nil && s.Name != p.Name {
				err = errs.Newf(errs.Invalid, "at %s answers the node %q, not %q: two nodes have one address, or the lists differ", p.URL, s.Name, p.Name)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, err)
				return
			}
			answers[p.Name] = s
		})
	}
	all.Wait()
	return answers, silent
}

// fit reports whether this node can store through the one at an address.
func (m *Member) fit(ctx context.Context, at string) bool {
	own := m.tell()
	s, err := m.caller.state(ctx, at)
	return err == nil && own.Cluster != "" && s.Cluster == own.Cluster && s.Epoch == own.Epoch && s.Leader != 0
}

// handler serves what other nodes ask. etcd's own paths come to it once it runs.
func (m *Member) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statePath, func(w http.ResponseWriter, _ *http.Request) { reply(w, m.tell()) })
	mux.HandleFunc("GET "+healthPath, m.serveHealth)
	mux.HandleFunc("POST "+shrinkPath, m.serveShrink)
	mux.HandleFunc("POST "+holdPath, m.serveHold)
	mux.HandleFunc("POST "+joinPath, func(w http.ResponseWriter, r *http.Request) {
		var who application
		if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&who); err != nil {
			http.Error(w, "this is no application of a node", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), askFor)
		defer cancel()
		a, err := m.admit(ctx, who)
		if err != nil {
			m.cfg.Log.Warn("a node is not taken into the cluster", "name", who.Name, "error", err)
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		reply(w, a)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if h := m.peer.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		http.Error(w, "this node is no member yet", http.StatusServiceUnavailable)
	})
	return mux
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}

// tell is this node's state.
func (m *Member) tell() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record
	s := state{Name: r.Name, Birth: r.Birth, List: m.cfg.list(), Cluster: r.Cluster, Births: r.Births, URLs: r.URLs, Epoch: r.Epoch}
	if e := m.server.Load(); e != nil {
		s.ID, s.Leader = uint64(e.MemberID()), e.Lead()
	}
	s.Starting = !m.TakesPart()
	return s
}
