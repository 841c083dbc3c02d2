package vaulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// Server is one fake Vault with a KV v2 mount secret/ and a KV v1 mount kv1/.
// Fields are set before the first request; methods are safe for concurrent use.
type Server struct {
	URL string

	TTL       int    // seconds a login lives; 0 for ever
	Renewable bool   // whether logins can be renewed
	JWT       string // the only ServiceAccount token accepted; any when empty
	RoleID    string // of the approle login
	SecretID  string
	NoEvents  bool // answer 404 to a subscription
	NoPages   bool // a LIST has all names, whatever limit it is given
	Check     func(*http.Request)
	// Admit, when set, says whether a login that is neither approle's nor by JWT is let in.
	Admit func(path string, body map[string]string) bool
	// Answer, when set, answers what has a token and is not one of the endpoints
	// above: ok false leaves it to the secrets. data nil is 204 with status 200.
	Answer func(method, path string, body []byte) (status int, data any, ok bool)

	mu       sync.Mutex
	lent     map[string]int   // paths that make leases, with the seconds these live
	leases   map[string]lease // by id
	next     int
	tokens   map[string]bool
	secrets  map[string][]version // "my-app/config" of secret/
	v1       map[string]json.RawMessage
	raw      map[string]json.RawMessage // by whole path
	meta     map[string]map[string]string
	denied   map[string]bool
	status   int // answer to everything but logins, when not 0
	garbage  *string
	counts   map[string]int
	watchers map[*websocket.Conn]context.CancelFunc
	before   func()
	after    int // requests until status is answered
	writes   int
}

type version struct {
	data    json.RawMessage
	deleted bool
}

// New returns an unstarted server that knows the token "root".
func New() *Server {
	return &Server{
		tokens: map[string]bool{"root": true}, secrets: map[string][]version{}, v1: map[string]json.RawMessage{}, raw: map[string]json.RawMessage{},
		lent: map[string]int{}, leases: map[string]lease{}, meta: map[string]map[string]string{}, denied: map[string]bool{}, counts: map[string]int{},
		watchers: map[*websocket.Conn]context.CancelFunc{},
	}
}

// Start serves until t ends.
func (s *Server) Start(t testing.TB) *Server {
	t.Helper()
	h := httptest.NewServer(s)
	s.URL = h.URL
	t.Cleanup(func() {
		s.DropConnections()
		h.Close()
	})
	return s
}

// Put adds a version of secret/path and tells every subscriber.
func (s *Server) Put(path, object string) {
	s.mu.Lock()
	s.secrets[path] = append(s.secrets[path], version{data: json.RawMessage(object)})
	s.mu.Unlock()
	s.publish(path, "data-write")
}

// PutQuietly adds a version without an event.
func (s *Server) PutQuietly(path, object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[path] = append(s.secrets[path], version{data: json.RawMessage(object)})
}

// PutV1 sets kv1/path.
func (s *Server) PutV1(path, object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v1[path] = json.RawMessage(object)
}

// PutAt sets what a GET of any other path answers as its data, such as that of
// "database/alternating-creds/app".
func (s *Server) PutAt(path, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw[path] = json.RawMessage(data)
}

// PutMeta sets the custom metadata of secret/path.
func (s *Server) PutMeta(path string, meta map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meta[path] = maps.Clone(meta)
}

// Delete marks the latest version deleted.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	if v := s.secrets[path]; len(v) > 0 {
		v[len(v)-1].deleted = true
	}
	s.mu.Unlock()
	s.publish(path, "data-delete")
}

// Forget removes secret/path with all its versions, quietly.
func (s *Server) Forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, path)
}

// Deny answers 403 for a request path such as "secret/data/x" from now on.
func (s *Server) Deny(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[path] = true
}

// Allow ends Deny.
func (s *Server) Allow(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.denied, path)
}

// Fail answers status to everything but logins until Fail(0).
func (s *Server) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.after = status, 0
}

// FailAfter lets n more requests through before it does as Fail.
func (s *Server) FailAfter(n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.after = status, n
}

// Garble answers body, with status 200, to everything that reads or lists
// secrets, until heal is called.
func (s *Server) Garble(body string) (heal func()) {
	set := func(to *string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.garbage = to
	}
	set(&body)
	return func() { set(nil) }
}

// RevokeTokens forgets every token that a login made.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]bool{"root": true}
}

// Tokens returns how many tokens made by logins live.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens) - 1
}

// Count returns how many requests were made to a path, such as "auth/kubernetes/login".
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[path]
}

// Subscribers returns how many subscriptions are open.
func (s *Server) Subscribers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

// DropConnections ends every subscription.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.watchers {
		cancel()
	}
}

// PublishAlternating tells every subscriber that database/alternating-creds/role
// is another credential now.
func (s *Server) PublishAlternating(role string) {
	s.tell(fmt.Sprintf(`{"id":"1","source":"vault://test","specversion":"1.0","type":"*","data":{"event":{"id":"1","metadata":{"data_path":"database/alternating-creds/%s","path":"database/alternating-creds/%s"}},"event_type":"database/alternating-publish","plugin_info":{"mount_path":"database/","plugin":"database"}},"datacontentype":"application/cloudevents","time":"2026-01-01T00:00:00Z"}`, role, role))
}

func (s *Server) publish(path, operation string) {
	s.tell(fmt.Sprintf(`{"id":"1","source":"vault://test","specversion":"1.0","type":"*","data":{"event":{"id":"1","metadata":{"current_version":"1","data_path":"secret/data/%s","modified":"true","operation":%q,"path":"secret/data/%s"}},"event_type":"kv-v2/%s","plugin_info":{"mount_path":"secret/","plugin":"kv"}},"datacontentype":"application/cloudevents","time":"2026-01-01T00:00:00Z"}`,
		path, operation, path, operation))
}

func (s *Server) tell(message string) {
	s.mu.Lock()
	conns := make([]*websocket.Conn, 0, len(s.watchers))
	for c := range s.watchers {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Write(context.Background(), websocket.MessageText, []byte(message))
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { //nolint:cyclop // flat: a case after the other
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	s.mu.Lock()
	s.counts[path]++
	status := s.status
	if s.after > 0 {
		s.after--
		status = 0
	}
	known := s.tokens[r.Header.Get("X-Vault-Token")]
	denied := s.denied[path]
	garbage := s.garbage
	s.mu.Unlock()
	if s.Check != nil {
		s.Check(r)
	}
	switch {
	case strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login"):
		s.login(w, r, path)
	case status != 0:
		fail(w, status, map[bool]string{true: "Vault is sealed", false: "broken on purpose"}[status == 503])
	case !known:
		fail(w, 403, "permission denied")
	case denied:
		fail(w, 403, "1 error occurred:\n\t* permission denied\n\n")
	case strings.HasPrefix(path, "auth/token/"):
		s.token(w, r, strings.TrimPrefix(path, "auth/token/"))
	case strings.HasPrefix(path, "sys/events/subscribe/"):
		s.subscribe(w, r)
	case s.leased(w, r, path):
	case s.Answer != nil && s.answered(w, r, path):
	default:
		s.stored(w, r, path, garbage)
	}
}

// stored answers with what is planted, or with garbage if there is any.
func (s *Server) stored(w http.ResponseWriter, r *http.Request, path string, garbage *string) {
	if garbage != nil {
		_, _ = io.WriteString(w, *garbage)
		return
	}
	if r.URL.Query().Get("list") == "true" {
		s.list(w, r, path)
		return
	}
	if isWrite(r, path) {
		s.write(w, r, path)
		return
	}
	s.read(w, r, path)
}

func (s *Server) answered(w http.ResponseWriter, r *http.Request, path string) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	status, data, ok := s.Answer(r.Method, path, body)
	switch {
	case !ok:
		return false
	case status >= http.StatusBadRequest:
		fail(w, status, fmt.Sprint(data))
	case data == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, "data", data)
	}
	return true
}

func fail(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{text}})
}

func answer(w http.ResponseWriter, key string, value any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "r", "lease_id": "", key: value})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request, path string) {
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		fail(w, 400, "no JSON")
		return
	}
	if path == "auth/approle/login" {
		if body["role_id"] != s.RoleID || body["secret_id"] != s.SecretID {
			fail(w, 400, "invalid role or secret ID")
			return
		}
	} else if s.Admit != nil && !s.Admit(path, body) {
		fail(w, 400, "error making upstream request: received error code 403 from STS: <ErrorResponse>"+fmt.Sprint(body))
		return
	} else if s.JWT != "" && body["jwt"] != s.JWT {
		fail(w, 403, "service account name not authorized")
		return
	}
	s.mu.Lock()
	s.next++
	token := "made-" + strconv.Itoa(s.next)
	s.tokens[token] = true
	s.mu.Unlock()
	answer(w, "auth", s.auth(token))
}

func (s *Server) auth(token string) map[string]any {
	return map[string]any{"client_token": token, "accessor": "accessor-of-" + token, "lease_duration": s.TTL, "renewable": s.Renewable, "policies": []string{"default"}}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request, action string) {
	token := r.Header.Get("X-Vault-Token")
	switch action {
	case "lookup-self":
		ttl, renewable := s.TTL, s.Renewable
		if token == "root" {
			ttl, renewable = 0, false
		}
		answer(w, "data", map[string]any{"id": token, "ttl": ttl, "renewable": renewable})
	case "renew-self":
		answer(w, "auth", s.auth(token))
	case "revoke-self":
		s.endToken(token)
		w.WriteHeader(204)
	case "revoke-accessor", "renew-accessor":
		s.byAccessor(w, r, action)
	default:
		fail(w, 404, "no handler for route")
	}
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, path string) { //nolint:cyclop // flat: a case after the other
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw[path] != nil {
		answer(w, "data", s.raw[path])
		return
	}
	if key, ok := strings.CutPrefix(path, "kv1/"); ok && s.v1[key] != nil {
		answer(w, "data", s.v1[key])
		return
	}
	if key, ok := strings.CutPrefix(path, "secret/metadata/"); ok && (s.secrets[key] != nil || s.meta[key] != nil) {
		answer(w, "data", map[string]any{"current_version": len(s.secrets[key]), "custom_metadata": s.meta[key]})
		return
	}
	key, ok := strings.CutPrefix(path, "secret/data/")
	have := s.secrets[key]
	n := len(have)
	if v := r.URL.Query().Get("version"); v != "" && v != "0" {
		n, _ = strconv.Atoi(v)
	}
	if !ok || n < 1 || n > len(have) {
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"errors":[]}`))
		return
	}
	metadata := map[string]any{"version": n, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false}
	if have[n-1].deleted {
		metadata["deletion_time"] = "2026-01-02T00:00:00Z"
		w.WriteHeader(404)
		answer(w, "data", map[string]any{"data": nil, "metadata": metadata})
		return
	}
	answer(w, "data", map[string]any{"data": have[n-1].data, "metadata": metadata})
}

// list answers a LIST as Vault does, with the fields after and limit that OpenBao
// and Strongkeep have. What is deleted is still listed; nothing is a 404.
func (s *Server) list(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	add := func(mount, key string) {
		if rest, ok := strings.CutPrefix(mount+"/"+key, strings.TrimSuffix(path, "/")+"/"); ok {
			first, _, isFolder := strings.Cut(rest, "/")
			if isFolder {
				first += "/"
			}
			names[first] = true
		}
	}
	for key := range s.secrets {
		add("secret/metadata", key)
	}
	for key := range s.v1 {
		add("kv1", key)
	}
	sorted := slices.Sorted(maps.Keys(names))
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); !s.NoPages && limit > 0 {
		from, found := slices.BinarySearch(sorted, r.URL.Query().Get("after"))
		if found {
			from++
		}
		sorted = sorted[from:]
		sorted = sorted[:min(limit, len(sorted))]
	}
	if len(sorted) == 0 {
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"errors":[]}`))
		return
	}
	answer(w, "data", map[string]any{"keys": sorted})
}

func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	if s.NoEvents {
		fail(w, 404, "unsupported path")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	s.mu.Lock()
	s.watchers[conn] = cancel
	s.mu.Unlock()
	_, _, _ = conn.Read(ctx) // until the peer or a test ends it; answers pings meanwhile
	s.mu.Lock()
	delete(s.watchers, conn)
	s.mu.Unlock()
	cancel()
	_ = conn.CloseNow()
}
