package gcptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

type signer struct{ public *rsa.PublicKey }

// Account makes a service account of Google, whose place any of by may take: subjects
// of tokens such as "system:serviceaccount:team:reader".
func (s *Server) Account(email string, by ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[email] = map[string]bool{}
	for _, who := range by {
		s.accounts[email][who] = true
	}
}

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Key makes a key of a service account, as the JSON document that Google gives.
func (s *Server) Key(t testing.TB, email string) string {
	t.Helper()
	key := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": Project, "client_email": email, "private_key_id": "canary-key-id",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":   "https://oauth2.googleapis.com/token", "universe_domain": "googleapis.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[email] = signer{&key.PublicKey}
	return string(doc)
}

// Metadata has the node have a metadata server, that gives tokens too.
func (s *Server) Metadata() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata = true
}

// WebToken returns a token of the cluster for a ServiceAccount, unsigned.
func WebToken(subject string, audiences []string) string {
	claims, err := json.Marshal(map[string]any{"sub": subject, "aud": audiences, "canary": true})
	if err != nil {
		panic(err)
	}
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b.EncodeToString(claims) + "."
}

// subject returns whose token it is, "" when it is not for audience. Whether the API
// server signed it is not looked at.
func subject(token, audience string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject   string   `json:"sub"`
		Audiences []string `json:"aud"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || !slices.Contains(claims.Audiences, audience) {
		return ""
	}
	return claims.Subject
}

// give makes a token.
func (s *Server) give(who string) (token string, expires time.Time) {
	s.made++
	token, expires = "canary-token-"+itoa(s.made), s.now().Add(s.lifetime)
	s.tokens[token] = login{who, expires}
	return token, expires
}

// Token returns a token of who, as if they had logged in.
func (s *Server) Token(who string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := s.give(who)
	return token
}

type answer map[string]any

func (s *Server) serveTokens(w http.ResponseWriter, r *http.Request) {
	method := "token"
	if strings.HasPrefix(r.URL.Path, "/computeMetadata/") {
		method = "metadata"
	}
	if f := s.fault(method); f != nil {
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if method == "metadata" {
		s.serveMetadata(w, r)
		return
	}
	code, body := s.token(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

var impersonations = regexp.MustCompile(`^/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken$`)

func (s *Server) token(r *http.Request) (int, answer) {
	refused := func(code string) (int, answer) {
		return http.StatusBadRequest, answer{"error": code, "error_description": "canary: what was sent"}
	}
	who := ""
	switch r.URL.Path {
	case "/token":
		if who = s.signed(r); who == "" {
			return refused("invalid_grant")
		}
	case "/v1/identitybindingtoken":
		var body map[string]string
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			return refused("invalid_request")
		}
		rest, ok := strings.CutPrefix(body["audience"], "identitynamespace:"+Project+".svc.id.goog:")
		if !ok || rest != "https://container.googleapis.com/v1/"+Cluster {
			return refused("invalid_target")
		}
		who = subject(body["subject_token"], Project+".svc.id.goog")
	case "/v1/token":
		who = federated(r)
	default:
		if m := signatures.FindStringSubmatch(r.URL.Path); m != nil {
			return s.sign(r, m[1])
		}
		if m := impersonations.FindStringSubmatch(r.URL.Path); m != nil {
			return s.impersonate(r, m[1])
		}
		return http.StatusNotFound, answer{"canary": "no such page"}
	}
	if who == "" {
		return refused("invalid_grant")
	}
	token, _ := s.give(who)
	return http.StatusOK, answer{"access_token": token, "expires_in": int(s.lifetime.Seconds()), "token_type": "Bearer", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
}

// signed returns who signed a request for a token with a key.
func (s *Server) signed(r *http.Request) string {
	claims, ok := s.verify(r.FormValue("assertion"))
	if !ok || claims.Audience != "https://oauth2.googleapis.com/token" {
		return ""
	}
	return claims.Issuer
}

// claims are what a service account says by its key.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Scope    string `json:"scope"`
	Expires  int64  `json:"exp"`
}

// verify looks whether a service account has signed a token for the scope of all tokens.
func (s *Server) verify(assertion string) (c claims, ok bool) {
	cut := strings.LastIndexByte(assertion, '.')
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return c, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || err2 != nil || json.Unmarshal(raw, &c) != nil {
		return c, false
	}
	key, ok := s.keys[c.Issuer]
	sum := sha256.Sum256([]byte(assertion[:cut]))
	return c, ok && rsa.VerifyPKCS1v15(key.public, crypto.SHA256, sum[:], signature) == nil && c.Scope == "https://www.googleapis.com/auth/cloud-platform"
}

// selfSigned returns whose token it is that a service account has signed itself.
func (s *Server) selfSigned(token string) (l login, ok bool) {
	c, ok := s.verify(token)
	return login{c.Issuer, time.Unix(c.Expires, 0)}, ok && c.Audience == ""
}

// federated returns whom the token of another issuer speaks of.
func federated(r *http.Request) string {
	if r.FormValue("audience") != Provider {
		return ""
	}
	token := r.FormValue("subject_token")
	if r.FormValue("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt" {
		return subject(token, "https:"+Provider)
	}
	// A signed request to AWS's STS, which Google would send.
	text, err := url.QueryUnescape(token)
	var signed struct {
		URL     string `json:"url"`
		Headers []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"headers"`
	}
	if err != nil || json.Unmarshal([]byte(text), &signed) != nil || !strings.HasPrefix(signed.URL, "https://sts.eu-central-1.amazonaws.com") {
		return ""
	}
	headers := map[string]string{}
	for _, h := range signed.Headers {
		headers[strings.ToLower(h.Key)] = h.Value
	}
	_, rest, _ := strings.Cut(headers["authorization"], "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	if headers["x-goog-cloud-target-resource"] != Provider || headers["x-amz-security-token"] == "wrong" {
		return ""
	}
	return "aws:" + id
}

func (s *Server) impersonate(r *http.Request, email string) (int, answer) {
	by, ok := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || !s.now().Before(by.expires) {
		return http.StatusUnauthorized, answer{"error": answer{"code": 401, "status": "UNAUTHENTICATED", "message": "canary"}}
	}
	if !s.accounts[email][by.who] {
		return http.StatusForbidden, answer{"error": answer{"code": 403, "status": "PERMISSION_DENIED", "message": "canary " + by.who}}
	}
	token, expires := s.give(email)
	return http.StatusOK, answer{"accessToken": token, "expireTime": expires.UTC().Format(time.RFC3339)}
}

func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if !s.metadata || r.Header.Get("Metadata-Flavor") != "Google" { //nolint:misspell // the header of Google
		http.Error(w, "canary", http.StatusForbidden)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google") //nolint:misspell // the header of Google
	switch strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/") {
	case "project/project-id":
		_, _ = w.Write([]byte(Project))
	case "instance/attributes/cluster-location":
		_, _ = w.Write([]byte("europe-west3"))
	case "instance/attributes/cluster-name":
		_, _ = w.Write([]byte("main"))
	case "instance/service-accounts/default/identity":
		_, _ = w.Write([]byte(s.identity(r)))
	case "instance/service-accounts/default/token":
		token, _ := s.give("operator")
		_ = json.NewEncoder(w).Encode(answer{"access_token": token, "expires_in": int(s.lifetime.Seconds()), "token_type": "Bearer"})
	default:
		http.NotFound(w, r)
	}
}
