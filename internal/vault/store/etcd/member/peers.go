package member

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// fit reports whether this node can store through the one at an address.
func (m *Member) fit(ctx context.Context, at string) bool {
	own := m.tell()
	s, err := m.caller.State(ctx, at)
	return err == nil && own.Cluster != "" && s.Cluster == own.Cluster && s.Epoch == own.Epoch && s.Leader != 0
}

// among reports whether this node is one of the members. One that was taken in has no name before its
// first start, and one whose address was changed in the list has another until then.
func (m *Member) among(all []*clientMember) bool {
	own := m.cfg.own()
	return slices.ContainsFunc(all, func(p *clientMember) bool { return p.Name == own.Name || slices.Contains(p.PeerURLs, own.URL) })
}

// handler serves what other nodes ask. etcd's own paths come to it once it runs.
func (m *Member) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+peer.StatePath, func(w http.ResponseWriter, _ *http.Request) { reply(w, m.tell()) })
	mux.HandleFunc("GET "+peer.HealthPath, m.serveHealth)
	mux.HandleFunc("POST "+peer.ShrinkPath, m.serveShrink)
	mux.HandleFunc("POST "+peer.HoldPath, m.serveHold)
	mux.HandleFunc("POST "+peer.JoinPath, func(w http.ResponseWriter, r *http.Request) {
		var who peer.Application
		if err := json.NewDecoder(io.LimitReader(r.Body, peer.MaxBody)).Decode(&who); err != nil {
			http.Error(w, "this is no application of a node", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), peer.Patience)
		defer cancel()
		a, err := m.admit(ctx, who)
		if err != nil {
			if m.said.Due("refused "+who.Name, err.Error()) { // it asks each 300 ms
				m.cfg.Log.Warn("a node is not taken into the cluster", "name", who.Name, "error", err)
			}
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
func (m *Member) tell() peer.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record
	s := peer.State{Name: r.Name, Birth: r.Birth, List: m.cfg.list(), Cluster: r.Cluster, Births: r.Births, URLs: r.URLs, Epoch: r.Epoch}
	if e := m.server.Load(); e != nil {
		s.ID, s.Leader = uint64(e.MemberID()), e.Lead()
		for _, p := range e.Cluster().Members() {
			s.Members = append(s.Members, peer.Placed{ID: uint64(p.ID), Name: p.Name, URLs: p.PeerURLs, Learner: p.IsLearner})
		}
	}
	s.Starting = !m.TakesPart()
	return s
}
