package ntlmtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // of the protocol
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:gosec,staticcheck // of the protocol
)

// Server lets requests through to Next that come over a connection that is logged in.
type Server struct {
	*httptest.Server
	next http.Handler

	mu       sync.Mutex
	password map[string]string // by DOMAIN\user
	cut      bool              // the second message of a login is not answered
	seen     []string          // Authorization headers, by their scheme and type
}

// New returns a running Server with TLS, closed at the test's end.
func New(t testing.TB, next http.Handler) *Server {
	t.Helper()
	s := &Server{next: next, password: map[string]string{}}
	s.Server = httptest.NewUnstartedServer(s)
	s.EnableHTTP2 = true // which it offers, and NTLM does not work over
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, &conn{}) }
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// User adds one, by a name such as DOMAIN\user.
func (s *Server) User(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password[name] = password
}

// Cut has connections end amid a login.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
}

// Seen returns how requests logged in until now, such as "", "NTLM 1" and "NTLM 3".
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

type key struct{}

// conn is what is known of a connection.
type conn struct {
	mu        sync.Mutex
	challenge []byte
	user      string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(key{}).(*conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	scheme, typ, message := read(r)
	s.mu.Lock()
	s.seen = append(s.seen, strings.TrimSpace(scheme+" "+typ))
	cut := s.cut
	s.mu.Unlock()
	switch {
	case r.ProtoMajor != 1:
	case scheme == "" && c.user != "":
		s.next.ServeHTTP(w, r)
		return
	case typ == "1":
		c.user, c.challenge = "", make([]byte, 8)
		_, _ = rand.Read(c.challenge)
		w.Header().Set("WWW-Authenticate", "NTLM "+base64.StdEncoding.EncodeToString(challenge(c.challenge)))
		w.WriteHeader(http.StatusUnauthorized)
		return
	case typ == "3" && cut:
		panic(http.ErrAbortHandler)
	case typ == "3" && c.challenge != nil:
		s.mu.Lock()
		c.user = s.who(message, c.challenge)
		s.mu.Unlock()
		if c.challenge = nil; c.user != "" {
			s.next.ServeHTTP(w, r)
			return
		}
	}
	w.Header().Add("WWW-Authenticate", "NTLM")
	w.Header().Add("WWW-Authenticate", `Basic realm="canary"`) // by which a password would come in the clear
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, "canary: who are you?")
}

// read returns how a request logs in: a scheme, and the type of NTLM's message.
func read(r *http.Request) (scheme, typ string, message []byte) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	message, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(message) > 12 && bytes.HasPrefix(message, []byte("NTLMSSP\x00")) {
		typ = string('0' + rune(message[8]))
	}
	return scheme, typ, message
}

// challenge is a CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2), with the name of a domain.
func challenge(nonce []byte) []byte {
	const unicode, ntlm, info = 1 << 0, 1 << 9, 1 << 23
	name := wide("SHOP")
	target := append(binary.LittleEndian.AppendUint16([]byte{2, 0}, uint16(len(name))), name...) // MsvAvNbDomainName
	target = append(target, 0, 0, 0, 0)                                                          // MsvAvEOL
	m := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	m = append(m, 0, 0, 0, 0, 48, 0, 0, 0) // no TargetName
	m = binary.LittleEndian.AppendUint32(m, unicode|ntlm|info)
	m = append(m, nonce...)
	m = append(m, make([]byte, 8)...)
	m = binary.LittleEndian.AppendUint16(m, uint16(len(target)))
	m = binary.LittleEndian.AppendUint16(m, uint16(len(target)))
	m = binary.LittleEndian.AppendUint32(m, 48)
	return append(m, target...)
}

// who returns whose AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3) m is: "" is nobody's. s.mu is
// held.
func (s *Server) who(m, nonce []byte) string {
	part := func(at int) []byte {
		if len(m) < at+8 {
			return nil
		}
		n, from := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if from < 0 || from+n > len(m) {
			return nil
		}
		return m[from : from+n]
	}
	proof, domain, user := part(20), narrow(part(28)), narrow(part(36))
	name := domain + `\` + user
	password, ok := s.password[name]
	if !ok || len(proof) <= md5.Size {
		return ""
	}
	hash := md4.New() //nolint:gosec // of the protocol
	_, _ = hash.Write(wide(password))
	owf := sum(hash.Sum(nil), wide(strings.ToUpper(user)+domain)) // NTOWFv2, 3.3.2
	if !hmac.Equal(sum(owf, nonce, proof[md5.Size:]), proof[:md5.Size]) {
		return ""
	}
	return name
}

func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(md5.New, key)
	for _, p := range parts {
		_, _ = mac.Write(p)
	}
	return mac.Sum(nil)
}

func wide(s string) (out []byte) {
	for _, unit := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func narrow(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
