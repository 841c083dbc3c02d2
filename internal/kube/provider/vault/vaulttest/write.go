package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Before has f run before the next write is looked at, once.
func (s *Server) Before(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Writes returns how many writes there were.
func (s *Server) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// State returns the object at secret/path as it is, how many versions it has, and
// whether there is a current one.
func (s *Server) State(path string) (object string, versions int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.secrets[path]
	if len(have) == 0 || have[len(have)-1].deleted {
		return "", len(have), false
	}
	return string(have[len(have)-1].data), len(have), true
}

// StateV1 returns the object at kv1/path.
func (s *Server) StateV1(path string) (object string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, ok := s.v1[path]
	return string(raw), ok
}

// Meta returns the custom metadata of secret/path.
func (s *Server) Meta(path string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta[path]
}

// isWrite reports whether r writes where there are secrets.
func isWrite(r *http.Request, path string) bool {
	if r.Method != http.MethodPost && r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return false
	}
	return strings.HasPrefix(path, "secret/data/") || strings.HasPrefix(path, "secret/metadata/") || strings.HasPrefix(path, "kv1/")
}

// write stores and deletes as Vault does, and tells every subscriber.
func (s *Server) write(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	before := s.before
	s.before = nil
	s.writes++
	s.mu.Unlock()
	if before != nil {
		before()
	}
	var body struct {
		Data    json.RawMessage    `json:"data"`
		Options struct{ CAS *int } `json:"options"`
		Custom  map[string]string  `json:"custom_metadata"`
	}
	var whole json.RawMessage
	if r.Method != http.MethodDelete {
		if err := json.NewDecoder(r.Body).Decode(&whole); err != nil {
			fail(w, 400, "no JSON")
			return
		}
		_ = json.Unmarshal(whole, &body)
	}
	if key, ok := strings.CutPrefix(path, "kv1/"); ok {
		s.writeV1(r, key, whole)
		w.WriteHeader(204)
		return
	}
	if key, ok := strings.CutPrefix(path, "secret/metadata/"); ok {
		s.writeMeta(r, key, body.Custom)
		w.WriteHeader(204)
		return
	}
	key := strings.TrimPrefix(path, "secret/data/")
	if r.Method == http.MethodDelete {
		s.Delete(key)
		w.WriteHeader(204)
		return
	}
	s.writeData(w, key, body.Data, body.Options.CAS)
}

func (s *Server) writeV1(r *http.Request, key string, object json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodDelete {
		delete(s.v1, key)
		return
	}
	s.v1[key] = object
}

func (s *Server) writeMeta(r *http.Request, key string, custom map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodDelete {
		delete(s.meta, key)
		delete(s.secrets, key)
		return
	}
	s.meta[key] = custom
}

func (s *Server) writeData(w http.ResponseWriter, key string, data json.RawMessage, cas *int) {
	s.mu.Lock()
	if cas != nil && *cas != len(s.secrets[key]) {
		s.mu.Unlock()
		fail(w, 400, "check-and-set parameter did not match the current version")
		return
	}
	s.secrets[key] = append(s.secrets[key], version{data: data})
	n := len(s.secrets[key])
	s.mu.Unlock()
	answer(w, "data", map[string]any{"version": n, "created_time": fmt.Sprintf("2026-01-01T00:00:%02dZ", n%60)})
	s.publish(key, "data-write")
}
