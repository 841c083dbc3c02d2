package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// lease is a credential of a Server, which ends with the token it was made for.
type lease struct {
	token string
	ttl   int
}

// Lend makes every GET of a path, such as "database/creds/app", give a new user
// whose lease lives for ttl seconds.
func (s *Server) Lend(path string, ttl int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent[path] = ttl
}

// Leases returns the users whose leases live.
func (s *Server) Leases() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for id := range s.leases {
		out["v-"+id[strings.LastIndexByte(id, '/')+1:]] = true
	}
	return out
}

// LentPassword is in the password of every user that Lend makes.
const LentPassword = "canary-4be1-lent"

// leased answers what is about leases.
func (s *Server) leased(w http.ResponseWriter, r *http.Request, path string) bool {
	var body struct {
		Lease string   `json:"lease_id"`
		Paths []string `json:"paths"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ttl, lends := s.lent[path]
	switch {
	case lends && r.Method == http.MethodGet:
		s.next++
		id := fmt.Sprintf("%s/%d", path, s.next)
		s.leases[id] = lease{r.Header.Get("X-Vault-Token"), ttl}
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "r", "lease_id": id, "lease_duration": ttl, "renewable": true,
			"data": map[string]any{"username": fmt.Sprintf("v-%d", s.next), "password": fmt.Sprintf("%s-%d", LentPassword, s.next)}})
	case path == "sys/capabilities-self":
		_ = json.NewDecoder(r.Body).Decode(&body)
		may := map[string][]string{}
		for _, p := range body.Paths {
			may[p] = []string{"update"}
			if s.denied[p] {
				may[p] = []string{"deny"}
			}
		}
		answer(w, "data", may)
	case path == "sys/leases/revoke":
		_ = json.NewDecoder(r.Body).Decode(&body)
		delete(s.leases, body.Lease)
		w.WriteHeader(http.StatusNoContent)
	case path == "sys/leases/renew":
		_ = json.NewDecoder(r.Body).Decode(&body)
		l, ok := s.leases[body.Lease]
		if !ok {
			fail(w, http.StatusBadRequest, "lease not found")
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "r", "lease_id": body.Lease, "lease_duration": l.ttl, "renewable": true})
	default:
		return false
	}
	return true
}

// endToken forgets a token and what was made for it.
func (s *Server) endToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
	for id, l := range s.leases {
		if l.token == token {
			delete(s.leases, id)
		}
	}
}

func (s *Server) byAccessor(w http.ResponseWriter, r *http.Request, action string) {
	var body struct{ Accessor string }
	_ = json.NewDecoder(r.Body).Decode(&body)
	token := strings.TrimPrefix(body.Accessor, "accessor-of-")
	s.mu.Lock()
	known := s.tokens[token] && token != body.Accessor
	s.mu.Unlock()
	switch {
	case !known:
		fail(w, http.StatusForbidden, "invalid accessor")
	case action == "renew-accessor":
		answer(w, "auth", s.auth(token))
	default:
		s.endToken(token)
		w.WriteHeader(http.StatusNoContent)
	}
}
