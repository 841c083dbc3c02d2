package azuretest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The one vault and the one tenant.
const (
	Vault    = "shop.vault.azure.net"
	VaultURL = "https://" + Vault
	Tenant   = "11111111-2222-3333-4444-555555555555"
	resource = "https://vault.azure.net"
	// Registry is the one container registry.
	Registry = "shop.azurecr.io"
	images   = "https://containerregistry.azure.net"
)

// Server is Azure. Its methods are safe for concurrent use.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	now      func() time.Time
	lifetime time.Duration
	tokens   map[string]token
	apps     map[string]App
	managed  string // client id of the node's identity
	objects  map[string]*object
	wrapping map[string][]*wrappingKey // keys that wrap, their versions by age
	gone     map[string]*object        // deleted, to be recovered
	counts   map[string]int
	faults   map[string]*Fault
	down     int // after so many calls of the vault all fail; -1: never
	lose     bool
	before   map[string]func()
	callers  map[string]bool
	pullers  map[string]bool // who may pull from the registry
	serial   int

	challenge string // to who has no token

	messages []*message
	hit      func() // is called when a fault of the queue is answered
}

type token struct {
	who     string
	expires time.Time
	of      string // for whom it is
}

// App is an application of the tenant: by a secret, by a certificate's key, or by tokens
// of a subject for the exchange.
type App struct {
	Secret      string
	Certificate bool
	Subject     string
}

// Fault is what is answered instead.
type Fault struct {
	Status      int
	Code, Inner string
	Body        string // instead of an error of Azure's shape
}

// New returns a running Server, closed at the test's end.
func New(t testing.TB) *Server {
	s := &Server{
		now: time.Now, lifetime: time.Hour, tokens: map[string]token{}, apps: map[string]App{}, objects: map[string]*object{}, wrapping: map[string][]*wrappingKey{}, gone: map[string]*object{},
		counts: map[string]int{}, faults: map[string]*Fault{}, down: -1, before: map[string]func(){}, callers: map[string]bool{}, pullers: map[string]bool{},
		challenge: `Bearer authorization="https://login.microsoftonline.com/` + Tenant + `", resource="` + resource + `"`,
	}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Close ends the server.
func (s *Server) Close() { s.http.CloseClientConnections(); s.http.Close() }

// Getenv is the environment of an operator that speaks to this server.
func (s *Server) Getenv(name string) string {
	switch name {
	case "AZURE_KEYVAULT_ENDPOINT", "AZURE_TOKEN_ENDPOINT", "AZURE_CONTAINERREGISTRY_ENDPOINT", "AZURE_STORAGE_QUEUE_ENDPOINT":
		return s.http.URL
	}
	return ""
}

func (s *Server) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Clock sets what the time is.
func (s *Server) Clock(now func() time.Time) { s.with(func() { s.now = now }) }

// App makes an application.
func (s *Server) App(id string, a App) { s.with(func() { s.apps[id] = a }) }

// Managed gives the node an identity.
func (s *Server) Managed(id string) { s.with(func() { s.managed = id }) }

// Fail has every call of a kind answered with f: "GET secrets" and the like, "" for all of
// the vault, "token" for those that give tokens, "registry" for the registry's.
func (s *Server) Fail(what string, f Fault) { s.with(func() { s.faults[what] = &f }) }

// FailAfter lets n more calls of the vault through, and fails those behind.
func (s *Server) FailAfter(n int) { s.with(func() { s.down = n }) }

// LosePages fails every page of a list behind the first.
func (s *Server) LosePages() { s.with(func() { s.lose = true }) }

// Mend ends all faults.
func (s *Server) Mend() {
	s.with(func() { s.lose, s.down = false, -1; clear(s.faults) })
}

// Before has f called once, in front of the next call of a kind.
func (s *Server) Before(what string, f func()) { s.with(func() { s.before[what] = f }) }

// Challenge sets what who has no token is told; "" is nothing.
func (s *Server) Challenge(text string) { s.with(func() { s.challenge = text }) }

// EndTokens ends every token that was given out.
func (s *Server) EndTokens() { s.with(func() { clear(s.tokens) }) }

// Count returns how often there was a call of a kind.
func (s *Server) Count(what string) (n int) {
	s.with(func() { n = s.counts[what] })
	return n
}

// Callers returns whose tokens the vault was called with.
func (s *Server) Callers() (who []string) {
	s.with(func() {
		for c := range s.callers {
			who = append(who, c)
		}
	})
	slices.Sort(who)
	return who
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host == Vault {
		s.serveVault(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Host == Registry {
		s.serveRegistry(w, r)
		return
	}
	if r.Host == queueHost {
		s.serveQueue(w, r)
		return
	}
	s.serveTokens(w, r)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

type obj = map[string]any

func (f *Fault) write(w http.ResponseWriter) {
	if f.Code == "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
		return
	}
	answer(w, f.Status, obj{"error": obj{"code": f.Code, "message": "canary: what was sent", "innererror": obj{"code": f.Inner}}})
}

func (s *Server) give(who, of string) string {
	s.serial++
	t := "canary-token-" + strconv.Itoa(s.serial)
	s.tokens[t] = token{who, s.now().Add(s.lifetime), of}
	return t
}

func (s *Server) serveTokens(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		at := "https://" + r.Host + strings.TrimSuffix(r.URL.Path, "/v2.0/.well-known/openid-configuration")
		answer(w, http.StatusOK, obj{"issuer": at + "/v2.0", "authorization_endpoint": at + "/oauth2/v2.0/authorize", "token_endpoint": at + "/oauth2/v2.0/token"})
		return
	}
	s.counts["token"]++
	if f := s.faults["token"]; f != nil {
		f.write(w)
		return
	}
	if r.URL.Path == "/metadata/identity/oauth2/token" {
		id := r.FormValue("client_id")
		if s.managed == "" || r.Header.Get("Metadata") != "true" || r.FormValue("resource") != resource && r.FormValue("resource") != images || id != "" && id != s.managed {
			answer(w, http.StatusBadRequest, obj{"error": "invalid_request", "error_description": "Identity not found: canary"})
			return
		}
		answer(w, http.StatusOK, obj{"access_token": s.give(s.managed, r.FormValue("resource")), "expires_on": strconv.FormatInt(s.now().Add(s.lifetime).Unix(), 10), "token_type": "Bearer"})
		return
	}
	id := r.FormValue("client_id")
	app, ok := s.apps[id]
	of, _, _ := strings.Cut(r.FormValue("scope"), "/.default")
	switch {
	case r.URL.Path != "/"+Tenant+"/oauth2/v2.0/token" || of != resource && of != images && of != storage:
		refuse(w, "invalid_request", 90002)
	case !ok:
		refuse(w, "unauthorized_client", 700016)
	case app.Secret != "" && r.FormValue("client_secret") != app.Secret, app.Subject != "" && subject(r.FormValue("client_assertion")) != app.Subject,
		app.Certificate && r.FormValue("client_assertion") == "":
		refuse(w, "invalid_client", 7000215)
	default:
		answer(w, http.StatusOK, obj{"access_token": s.give(id, of), "expires_in": int(s.lifetime.Seconds()), "token_type": "Bearer"})
	}
}

func refuse(w http.ResponseWriter, code string, number int) {
	answer(w, http.StatusUnauthorized, obj{"error": code, "error_description": "AADSTS" + strconv.Itoa(number) + ": canary, what was sent"})
}
