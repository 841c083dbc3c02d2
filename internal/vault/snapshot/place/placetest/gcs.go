package placetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// GCS is a server that speaks the JSON API of Google Cloud Storage. It knows one service
// account, and checks what that has signed.
type GCS struct {
	*Store
	URL string
	Key string // of the service account, as Google gives it

	public *rsa.PublicKey
}

// NewGCS returns one that runs until the test's end.
func NewGCS(t testing.TB) *GCS {
	s := &GCS{Store: newStore()}
	s.Key, s.public = Account(t)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Account makes a service account's key.
func Account(t testing.TB) (key string, public *rsa.PublicKey) {
	t.Helper()
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": Canary, "client_email": "vault@p.iam.gserviceaccount.com", "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), &made.PublicKey
}

func refuseGCS(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []map[string]string{{"reason": reason, "message": message}},
	}})
}

// known reports whether a request has a token that the account has signed for storage.
func (s *GCS) known(r *http.Request) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if !ok || err != nil {
		return false
	}
	var is jwt.Claims
	var more struct {
		Scope string `json:"scope"`
	}
	err = token.Claims(s.public, &is, &more)
	return err == nil && is.Validate(jwt.Expected{Issuer: "vault@p.iam.gserviceaccount.com", Time: time.Now()}) == nil && strings.Contains(more.Scope, "devstorage")
}

// ServeHTTP implements http.Handler.
func (s *GCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, whole := s.content(r)
	if !whole {
		return
	}
	if !s.known(r) {
		refuseGCS(w, http.StatusUnauthorized, "authError", "Invalid Credentials "+Canary)
		return
	}
	path, upload := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	path = strings.TrimPrefix(path, "/storage/v1/b/")
	bucket, rest, _ := strings.Cut(path, "/o")
	key, err := url.PathUnescape(strings.TrimPrefix(rest, "/"))
	q := r.URL.Query()
	switch {
	case err != nil:
		refuseGCS(w, http.StatusBadRequest, "invalid", "Invalid path")
	case bucket != BucketName:
		refuseGCS(w, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	case upload && q.Get("uploadType") == "multipart":
		s.multipart(w, r, body)
	case upload:
		s.resumable(w, r, body)
	case key == "":
		s.listing(w, q.Get("prefix"), q.Get("pageToken"))
	default:
		s.one(w, r, key)
	}
}

func (s *GCS) listing(w http.ResponseWriter, prefix, after string) {
	keys, next := s.list(prefix, after)
	items := []map[string]string{}
	for _, key := range keys {
		items = append(items, map[string]string{"name": key})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "nextPageToken": next})
}

func (s *GCS) one(w http.ResponseWriter, r *http.Request, key string) {
	content, ok := s.object(key)
	switch {
	case !ok:
		refuseGCS(w, http.StatusNotFound, "notFound", "No such object: "+key)
	case r.Method == http.MethodDelete:
		s.remove(key)
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Query().Get("alt") == "media":
		s.send(w, content, r.Header.Get("Range"))
	default:
		made(w, key)
	}
}

func made(w http.ResponseWriter, key string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"name": key})
}

// multipart is an object in one request: its name, then its content.
func (s *GCS) multipart(w http.ResponseWriter, r *http.Request, body []byte) {
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(strings.NewReader(string(body)), params["boundary"])
	var object struct{ Name string }
	first, err := parts.NextPart()
	if err == nil {
		err = json.NewDecoder(first).Decode(&object)
	}
	var content []byte
	if err == nil {
		if first, err = parts.NextPart(); err == nil {
			content, err = io.ReadAll(first)
		}
	}
	if err != nil || object.Name == "" {
		refuseGCS(w, http.StatusBadRequest, "invalid", "Malformed multipart body.")
		return
	}
	s.with(func() { s.insert(w, object.Name, content, r.URL.Query().Get("ifGenerationMatch")) })
}

// insert makes an object, which must be new if its generation is to be 0; the caller holds the lock.
func (s *GCS) insert(w http.ResponseWriter, key string, content []byte, generation string) {
	if !s.make(key, content, generation == "0") {
		refuseGCS(w, http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
		return
	}
	made(w, key)
}

// resumable is an upload in chunks of 256 KiB each, but the last.
func (s *GCS) resumable(w http.ResponseWriter, r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("upload_id")
	if id == "" {
		var object struct{ Name string }
		if json.Unmarshal(body, &object) != nil || object.Name == "" {
			refuseGCS(w, http.StatusBadRequest, "invalid", "no name")
			return
		}
		s.serial++
		id = "session-" + itoa(s.serial)
		s.uploads[id] = map[string][]byte{"name": []byte(object.Name), "generation": []byte(r.URL.Query().Get("ifGenerationMatch"))}
		w.Header().Set("Location", s.URL+r.URL.Path+"?uploadType=resumable&upload_id="+id)
		return
	}
	up, ok := s.uploads[id]
	span, total, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes "), "/")
	start, _, _ := strings.Cut(span, "-")
	switch {
	case !ok:
		refuseGCS(w, http.StatusNotFound, "notFound", "no such session")
		return
	case span != "*" && start != itoa(len(up["content"])), total == "*" && len(body)%(256<<10) != 0:
		refuseGCS(w, http.StatusBadRequest, "invalid", "Invalid range")
		return
	}
	up["content"] = append(up["content"], body...)
	if total == itoa(len(up["content"])) {
		delete(s.uploads, id)
		s.insert(w, string(up["name"]), up["content"], string(up["generation"]))
		return
	}
	w.Header().Set("Range", "bytes=0-"+itoa(len(up["content"])-1))
	if r.Header.Get("X-Guploader-No-308") == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}
