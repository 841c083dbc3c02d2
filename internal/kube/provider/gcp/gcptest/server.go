package gcptest

import (
	"context"
	"crypto/rsa"
	"encoding/binary"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The one project, by its id and by the number that Google writes in names, and the
// one cluster.
const (
	Project = "my-project"
	Number  = "123456789012"
	Cluster = "projects/my-project/locations/europe-west3/clusters/main"
	// Provider is the one of a pool that federates.
	Provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/providers/main"
)

// Server is Google. Its methods are safe for concurrent use.
type Server struct {
	pb.UnimplementedSecretManagerServiceServer
	http *httptest.Server
	grpc *grpc.Server

	mu        sync.Mutex
	now       func() time.Time
	lifetime  time.Duration
	tokens    map[string]login
	made      int                        // tokens
	accounts  map[string]map[string]bool // who may take the place of each
	keys      map[string]signer
	secrets   map[string]*secret
	forbidden map[string]bool // what nobody may: full names of permissions
	counts    map[string]int
	faults    map[string]*Fault
	down      int // after so many calls all fail; -1: never
	lose      bool
	before    map[string]func()
	callers   map[string]bool
	metadata  bool            // there is a metadata server
	google    *rsa.PrivateKey // signs for those who ask
	messages  []*message      // that are not acknowledged
	sent      int             // messages
	news      chan struct{}   // closed when a Pull that waits is to look again
	hit       func()
	kms       map[string][]*keyVersion // by the name of the key
	damage    bool                     // of what Cloud KMS is sent and answers
}

// login is a token that was given out.
type login struct {
	who     string
	expires time.Time
}

// Fault is what a call is answered with instead.
type Fault struct {
	Code    codes.Code // of gRPC
	Message string
	Status  int    // of HTTP, with Body as it is; 0: by Code
	Body    string // a page; with Code OK, the bytes of a message
}

// New returns a running Server, closed at the test's end.
func New(t testing.TB) *Server {
	s := &Server{
		now: time.Now, lifetime: time.Hour, google: google(), tokens: map[string]login{}, accounts: map[string]map[string]bool{}, keys: map[string]signer{},
		secrets: map[string]*secret{}, kms: map[string][]*keyVersion{}, forbidden: map[string]bool{}, counts: map[string]int{}, faults: map[string]*Fault{}, down: -1, before: map[string]func(){}, callers: map[string]bool{},
		news: make(chan struct{}),
	}
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.intercept))
	pb.RegisterSecretManagerServiceServer(s.grpc, s)
	pubsubpb.RegisterSubscriberServer(s.grpc, &subscriber{s: s})
	kmspb.RegisterKeyManagementServiceServer(s.grpc, &keeper{s: s})
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetHTTP1(true)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Start()
	t.Cleanup(s.Close)
	return s
}

// Close ends the server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
	s.grpc.Stop()
}

// Getenv is the environment of an operator that speaks to this server.
func (s *Server) Getenv(name string) string {
	switch name {
	case "GCP_SECRETMANAGER_ENDPOINT", "GCP_PUBSUB_ENDPOINT", "GCP_TOKEN_ENDPOINT", "GCP_KMS_ENDPOINT":
		return s.http.URL
	case "GCE_METADATA_HOST":
		return strings.TrimPrefix(s.http.URL, "http://")
	}
	return ""
}

// Clock sets what the time is.
func (s *Server) Clock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Fail has every call of a method, such as AccessSecretVersion, or of all for "",
// answered with f. Tokens are given by the method "token".
func (s *Server) Fail(method string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = &f
	s.wake()
}

// Hit has f called whenever a fault is answered.
func (s *Server) Hit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hit = f
}

// FailAfter lets n more calls of Secret Manager through, and fails those behind.
func (s *Server) FailAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = n
}

// LosePages fails every page of a list behind the first.
func (s *Server) LosePages() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = true
}

// Forbid takes a permission, such as secretmanager.secrets.list, from all.
func (s *Server) Forbid(permission string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden[permission] = true
}

// Mend ends all faults.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose, s.down = false, -1
	clear(s.faults)
	clear(s.forbidden)
}

// Before has f called once, in front of the next call of method.
func (s *Server) Before(method string, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before[method] = f
}

// Count returns how often a method was called.
func (s *Server) Count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[method]
}

// Callers returns who has called Secret Manager or Pub/Sub, in order of the names.
func (s *Server) Callers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.callers))
}

// EndTokens ends every token that was given out.
func (s *Server) EndTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// fault counts a call and returns what it is answered with instead, nil for nothing.
func (s *Server) fault(method string) *Fault {
	s.mu.Lock()
	s.counts[method]++
	f, hook := s.faults[method], s.before[method]
	delete(s.before, method)
	if method != "token" && method != "metadata" {
		if f == nil {
			f = s.faults[""]
		}
		switch {
		case s.down == 0:
			f = &Fault{Code: codes.Internal, Message: "canary"}
		case s.down > 0:
			s.down--
		}
	}
	hit := s.hit
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if f != nil && hit != nil {
		hit()
	}
	return f
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		s.serveTokens(w, r)
		return
	}
	f := s.fault(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	switch {
	case f == nil:
		s.grpc.ServeHTTP(w, r)
	case f.Status != 0:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.Code != codes.OK:
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", itoa(int(f.Code)))
		w.Header().Set("Grpc-Message", f.Message)
		w.WriteHeader(http.StatusOK)
	default:
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(f.Body))))
		_, _ = w.Write([]byte(f.Body))
		w.Header().Set("Grpc-Status", "0")
	}
}

// intercept looks at the token and the routing header.
func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	var token string
	if all := md.Get("authorization"); len(all) == 1 {
		token = strings.TrimPrefix(all[0], "Bearer ")
	}
	s.mu.Lock()
	l, ok := s.tokens[token]
	if !ok {
		l, ok = s.selfSigned(token)
	}
	if ok = ok && s.now().Before(l.expires); ok {
		s.callers[l.who] = true
	}
	s.mu.Unlock()
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials: "+token)
	}
	if len(md.Get("x-goog-request-params")) != 1 {
		return nil, status.Error(codes.InvalidArgument, "the routing header is missing")
	}
	if _, waits := info.Server.(*subscriber); waits {
		return handler(ctx, req)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return handler(ctx, req)
}
