package gcptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// google is the key of every Server: making one takes long.
var google = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var signatures = regexp.MustCompile(`^/v1/projects/-/serviceAccounts/([^/:]+):signJwt$`)

// sign signs what is asked for as a service account, for that one itself.
func (s *Server) sign(r *http.Request, email string) (int, answer) {
	by, ok := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	var body struct {
		Payload string `json:"payload"`
	}
	switch {
	case !ok || !s.now().Before(by.expires):
		return http.StatusUnauthorized, answer{"error": answer{"code": 401, "status": "UNAUTHENTICATED", "message": "canary"}}
	case by.who != email:
		return http.StatusForbidden, answer{"error": answer{"code": 403, "status": "PERMISSION_DENIED", "message": "canary " + by.who}}
	case json.NewDecoder(r.Body).Decode(&body) != nil:
		return http.StatusBadRequest, answer{"error": answer{"code": 400, "status": "INVALID_ARGUMENT", "message": "canary"}}
	}
	return http.StatusOK, answer{"keyId": "google", "signedJwt": s.signed256([]byte(body.Payload))}
}

// identity is what the metadata server says of the machine, for an audience.
func (s *Server) identity(r *http.Request) string {
	claims := answer{"aud": r.URL.Query().Get("audience"), "sub": "machine", "exp": s.now().Add(s.lifetime).Unix()}
	if r.URL.Query().Get("format") == "full" {
		claims["google"] = answer{"compute_engine": answer{"instance_name": "node"}}
	}
	text, _ := json.Marshal(claims)
	return s.signed256(text)
}

func (s *Server) signed256(payload []byte) string {
	b := base64.RawURLEncoding
	text := b.EncodeToString([]byte(`{"alg":"RS256","kid":"google","typ":"JWT"}`)) + "." + b.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.google, crypto.SHA256, sum[:])
	if err != nil {
		return ""
	}
	return text + "." + b.EncodeToString(signature)
}

// Claims are those of a token that somebody else than Google was shown.
type Claims struct {
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"` // seconds of Unix time
	Google   struct {
		Machine struct {
			Name string `json:"instance_name"`
		} `json:"compute_engine"`
	} `json:"google"`
}

// Claims verifies a token as Google's certificates let anybody: by the key of Google that it
// names, or by that of the service account it is about.
func (s *Server) Claims(token string) (c Claims, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	var header struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decode(parts[0], &header) || !decode(parts[1], &c) || header.Algorithm != "RS256" {
		return c, false
	}
	public := &s.google.PublicKey
	if header.Key != "google" {
		public = s.keys[c.Subject].public
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return c, public != nil && rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
}

func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}
