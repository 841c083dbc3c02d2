package awstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Region is the only one there is.
const Region = "eu-central-1"

// The key that every Server knows, and what it stands for.
const (
	KeyID     = "AKIAEXAMPLEEXAMPLE01"
	KeySecret = "canary-secret-access-key"
)

// Server is AWS with one account. Its methods are safe for concurrent use.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	now      func() time.Time
	keys     map[string]key
	roles    map[string]Role
	lifetime time.Duration
	made     int // sessions
	serial   int // ids of versions
	secrets  map[string]*secret
	params   map[string]*parameter
	certs    map[string]*certificate // by ARN
	kms      map[string]*kmsKey      // by id
	aliases  []kmsAlias
	counts   map[string]int
	faults   map[string]*Fault
	lose     bool // every page behind the first
	before   map[string]func()
	sessions []string
	messages []*message
	wake     chan struct{} // closed, and made anew, when a message or a fault comes
	down     bool
}

// key is an access key, or a session when it has a token.
type key struct {
	secret, token, who string
	expires            time.Time
}

// Role is a role that can be assumed.
type Role struct {
	By         string // who may: the end of an ARN; any when empty
	WebToken   string // or by this token
	Subject    string // or by a token whose subject this is, for the audience of STS
	ExternalID string
	Tags       map[string]string // that the session must have
}

// Fault is what an action answers instead.
type Fault struct {
	Times  int // 0: always
	After  int // requests that are let through before
	Status int
	Code   string
	Body   string          // instead of an error of AWS's shape
	Hit    chan<- struct{} // is sent to, where it has room, when it is answered
}

// New returns a running Server, closed at the test's end.
func New(t testing.TB) *Server {
	s := &Server{
		now: time.Now, keys: map[string]key{KeyID: {secret: KeySecret, who: "user/example"}}, roles: map[string]Role{}, lifetime: time.Hour,
		secrets: map[string]*secret{}, params: map[string]*parameter{}, certs: map[string]*certificate{}, kms: map[string]*kmsKey{}, counts: map[string]int{}, faults: map[string]*Fault{},
		before: map[string]func(){}, wake: make(chan struct{}),
	}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Getenv is an environment in which AWS's services are this server.
func (s *Server) Getenv(name string) string {
	switch name {
	case "AWS_SECRETSMANAGER_ENDPOINT", "AWS_SSM_ENDPOINT", "AWS_STS_ENDPOINT", "AWS_ACM_ENDPOINT", "AWS_ECR_ENDPOINT", "AWS_ECR_PUBLIC_ENDPOINT", "AWS_SQS_ENDPOINT", "AWS_KMS_ENDPOINT":
		return s.http.URL
	}
	return ""
}

// Close ends the server: from now on it is down.
func (s *Server) Close() {
	s.with(func() { s.down = true; s.wakeQueue() })
	s.http.Close()
}

// Clock makes the server live by now.
func (s *Server) Clock(now func() time.Time) { s.with(func() { s.now = now }) }

// Lifetime is that of sessions made from now on; an hour at first.
func (s *Server) Lifetime(d time.Duration) { s.with(func() { s.lifetime = d }) }

// AddRole makes a role.
func (s *Server) AddRole(arn string, r Role) { s.with(func() { s.roles[arn] = r }) }

// EndSessions makes every session over, as if its role had been deleted.
func (s *Server) EndSessions() {
	s.with(func() {
		for id, k := range s.keys {
			if k.token != "" {
				k.expires = time.Time{}.Add(1)
				s.keys[id] = k
			}
		}
	})
}

// AddKey makes another access key of the same user.
func (s *Server) AddKey(id, secret string) {
	s.with(func() { s.keys[id] = key{secret: secret, who: "user/example"} })
}

// RemoveKey deletes an access key.
func (s *Server) RemoveKey(id string) { s.with(func() { delete(s.keys, id) }) }

// Count returns how often an action was asked for, such as "GetSecretValue".
func (s *Server) Count(action string) (n int) {
	s.with(func() { n = s.counts[action] })
	return n
}

// Fail makes an action fail, or all for "".
func (s *Server) Fail(action string, f Fault) {
	s.with(func() { s.faults[action] = &f; s.wakeQueue() })
}

// LosePages makes every page of a search but the first fail.
func (s *Server) LosePages() { s.with(func() { s.lose = true }) }

// Mend takes all faults away.
func (s *Server) Mend() { s.with(func() { clear(s.faults); s.lose = false }) }

// Before has f run before the next call of an action, which a test can be between.
func (s *Server) Before(action string, f func()) { s.with(func() { s.before[action] = f }) }

// SessionNames returns those of the sessions that were made.
func (s *Server) SessionNames() (names []string) {
	s.with(func() { names = append(names, s.sessions...) })
	return names
}

func (s *Server) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// failure is an error of AWS.
type failure struct {
	status        int
	code, message string
}

func refuse(code, message string) *failure { return &failure{http.StatusBadRequest, code, message} }

// request is one call, its signature checked.
type request struct {
	action string
	body   []byte // JSON
	form   url.Values
	who    string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req := request{body: body}
	target := r.Header.Get("X-Amz-Target")
	s.awaitMessage(r, target, body)
	query := target == ""
	if query {
		req.form, _ = url.ParseQuery(string(body))
		req.action = req.form.Get("Action")
	} else {
		req.action = target[strings.LastIndexByte(target, '.')+1:]
	}
	s.mu.Lock()
	between := s.before[req.action]
	delete(s.before, req.action)
	s.mu.Unlock()
	if between != nil {
		between()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[req.action]++
	if f := s.fault(req.action); f != nil {
		if f.Body != "" {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(f.Status)
			_, _ = io.WriteString(w, f.Body)
			return
		}
		answer(w, query, nil, &failure{f.Status, f.Code, "as the test wants it"})
		return
	}
	var fail *failure
	if req.action != "AssumeRoleWithWebIdentity" {
		req.who, fail = s.verify(r, body)
	}
	var out any
	if fail == nil {
		out, fail = s.act(req, target)
	}
	answer(w, query, out, fail)
}

func (s *Server) fault(action string) *Fault {
	for _, name := range []string{action, ""} {
		f := s.faults[name]
		if f == nil {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		select {
		case f.Hit <- struct{}{}:
		default:
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				delete(s.faults, name)
			}
		}
		return f
	}
	return nil
}

func (s *Server) act(req request, target string) (any, *failure) {
	var actions map[string]func(request) (any, *failure)
	switch {
	case target == "":
		actions = s.stsActions()
	case strings.HasPrefix(target, "AmazonSSM."):
		actions = s.ssmActions()
	case strings.HasPrefix(target, "CertificateManager."):
		actions = s.acmActions()
	case strings.HasPrefix(target, "secretsmanager."):
		actions = s.smActions()
	case strings.HasPrefix(target, "TrentService."):
		actions = s.kmsActions()
	case isQueue(target):
		actions = s.sqsActions()
	case strings.HasPrefix(target, "AmazonEC2ContainerRegistry_V"), strings.HasPrefix(target, "SpencerFrontendService."):
		actions = map[string]func(request) (any, *failure){"GetAuthorizationToken": s.registryLogin(target)}
	}
	f, ok := actions[req.action]
	if !ok {
		return nil, refuse("UnknownOperationException", "no such action")
	}
	return f(req)
}

func answer(w http.ResponseWriter, query bool, out any, f *failure) {
	if query {
		w.Header().Set("Content-Type", "text/xml")
		if f != nil {
			w.WriteHeader(f.status)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Type>Sender</Type><Code>"+f.code+"</Code><Message>"+f.message+"</Message></Error><RequestId>1</RequestId></ErrorResponse>")
			return
		}
		_, _ = io.WriteString(w, out.(string))
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if f != nil {
		w.WriteHeader(f.status)
		out = map[string]string{"__type": f.code, "message": f.message}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// Signed returns who signed a request that was meant for AWS's STS in region, and
// whether it is good. Its URL is AWS's own.
func (s *Server) Signed(r *http.Request, body []byte, region string) (who string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scope := strings.Contains(r.Header.Get("Authorization"), "/"+region+"/sts/aws4_request")
	who, f := s.verify(r, body)
	return who, f == nil && scope
}

// verify checks the signature (Signature Version 4) by making it again with the
// SDK's own signer, and returns who signed.
func (s *Server) verify(r *http.Request, body []byte) (who string, f *failure) {
	bad := refuse("InvalidSignatureException", "the canonical string was x-amz-security-token:"+r.Header.Get("X-Amz-Security-Token"))
	parts := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/") // id, date, region, service, aws4_request
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 {
		return "", bad
	}
	if scope[2] != Region && scope[3] != "ecr-public" && scope[3] != "sts" {
		return "", bad
	}
	k, ok := s.keys[scope[0]]
	if !ok {
		return "", refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if k.token != r.Header.Get("X-Amz-Security-Token") {
		return "", refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if k.token != "" && !s.now().Before(k.expires) {
		return "", refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", bad
	}
	again, _ := http.NewRequestWithContext(context.Background(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	for name := range strings.SplitSeq(parts["SignedHeaders"], ";") {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: scope[0], SecretAccessKey: k.secret, SessionToken: k.token}
	if v4.NewSigner().SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), scope[3], scope[2], at) != nil ||
		again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return "", bad
	}
	return k.who, nil
}
