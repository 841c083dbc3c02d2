// Package inflight knows which requests are under way: sys/in-flight-req.
//
// Start reading at Book.
package inflight

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// shards keep requests that begin and end at once out of each other's way.
const shards = 16

// Book holds the requests under way. The zero Book is empty. It is safe for concurrent use.
type Book struct {
	shards [shards]shard
}

// shard is a ring of requests around root.
type shard struct {
	mu   sync.Mutex
	root Request
	_    [64]byte // of the next one's line
}

// Request is one under way.
type Request struct {
	id         string
	http       *http.Request
	client     string // guarded by shard
	began      time.Time
	shard      *shard
	prev, next *Request
}

// Enter notes a request, which Leave must be called for. id is a UUID, r is not changed meanwhile.
func (b *Book) Enter(id string, r *http.Request, began time.Time) *Request {
	n := byte(0)
	if id != "" {
		n = id[len(id)-1]
	}
	s := &b.shards[n%shards]
	q := &Request{id: id, http: r, began: began, shard: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root.next == nil {
		s.root.next, s.root.prev = &s.root, &s.root
	}
	q.prev, q.next = s.root.prev, &s.root
	q.prev.next, q.next.prev = q, q
	return q
}

// Is notes for which client a request is.
func (q *Request) Is(client string) {
	q.shard.mu.Lock()
	defer q.shard.mu.Unlock()
	q.client = client
}

// Leave takes a request out.
func (q *Request) Leave() {
	q.shard.mu.Lock()
	defer q.shard.mu.Unlock()
	q.prev.next, q.next.prev = q.next, q.prev
}

// shown is a request as clients of Vault know it.
type shown struct {
	Began    time.Time `json:"start_time"`
	Remote   string    `json:"client_remote_address"`
	Path     string    `json:"request_path"` // without the query
	Method   string    `json:"request_method"`
	ClientID string    `json:"client_id"` // the entity; "" before the token was looked up, and for one without
}

// All are the requests under way by their ID, which is that of their audit lines.
func (b *Book) all() map[string]shown {
	all := map[string]shown{}
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for q := s.root.next; q != nil && q != &s.root; q = q.next {
			all[q.id] = shown{Began: q.began, Remote: q.http.RemoteAddr, Path: q.http.URL.Path, Method: q.http.Method, ClientID: q.client}
		}
		s.mu.Unlock()
	}
	return all
}

// ServeHTTP answers with all of them, this one among them.
func (b *Book) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	raw, err := json.Marshal(b.all())
	if err != nil { // of strings and times: it cannot be
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(append(raw, '\n'))
}
