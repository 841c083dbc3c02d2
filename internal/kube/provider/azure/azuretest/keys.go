package azuretest

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// wrappingKey is a version of a key that wraps.
type wrappingKey struct {
	id, kind       string
	made           time.Time
	disabled       bool
	since, expires time.Time
	pair           *rsa.PrivateKey
	raw            []byte // of a symmetric key
}

// AddWrappingKey adds a version to a key: of type RSA, or oct-HSM. It is a minute
// younger than the one before.
func (s *Server) AddWrappingKey(name, kind string) {
	k := &wrappingKey{kind: kind, raw: make([]byte, 32)}
	_, _ = rand.Read(k.raw)
	if kind == "RSA" {
		var err error
		if k.pair, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	s.with(func() {
		s.serial++
		k.id = fmt.Sprintf("%032x", 0xabc000+s.serial)
		k.made = s.now().Add(-time.Hour + time.Duration(len(s.wrapping[name]))*time.Minute)
		s.wrapping[name] = append(s.wrapping[name], k)
	})
}

func (s *Server) version(name, id string, f func(*wrappingKey)) {
	s.with(func() {
		for _, k := range s.wrapping[name] {
			if k.id == id {
				f(k)
			}
		}
	})
}

// DisableKey turns a version of a key off.
func (s *Server) DisableKey(name, id string) {
	s.version(name, id, func(k *wrappingKey) { k.disabled = true })
}

// SetKeyDates sets when a version of a key may be used.
func (s *Server) SetKeyDates(name, id string, since, expires time.Time) {
	s.version(name, id, func(k *wrappingKey) { k.since, k.expires = since, expires })
}

// RemoveKey deletes a key.
func (s *Server) RemoveKey(name string) { s.with(func() { delete(s.wrapping, name) }) }

// wrappingCall answers calls of keys that wrap; ok is false if it is not about one.
func (s *Server) wrappingCall(w http.ResponseWriter, r *http.Request, parts []string) (f *Fault, ok bool) {
	if parts[0] != "keys" || len(parts) < 3 {
		return nil, false
	}
	name, version := parts[1], parts[2]
	versions := s.wrapping[name]
	if version == "versions" {
		return s.listVersions(w, r, name, versions), true
	}
	for _, k := range versions {
		switch {
		case k.id != version:
		case len(parts) == 3:
			answer(w, http.StatusOK, obj{"key": obj{"kid": keyID(name, k), "kty": k.kind}, "attributes": k.attributes()})
			return nil, true
		default:
			return s.wrap(w, r, name, k, parts[3]), true
		}
	}
	return &Fault{Status: http.StatusNotFound, Code: "KeyNotFound"}, true
}

func keyID(name string, k *wrappingKey) string { return VaultURL + "/keys/" + name + "/" + k.id }

func (k *wrappingKey) attributes() obj {
	a := obj{"enabled": !k.disabled, "created": k.made.Unix(), "updated": k.made.Unix()}
	if !k.since.IsZero() {
		a["nbf"] = k.since.Unix()
	}
	if !k.expires.IsZero() {
		a["exp"] = k.expires.Unix()
	}
	return a
}

// listVersions lists two at a time, in the order of their ids.
func (s *Server) listVersions(w http.ResponseWriter, r *http.Request, name string, versions []*wrappingKey) *Fault {
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	if from > 0 && s.lose {
		return &Fault{Status: http.StatusInternalServerError, Code: "InternalError"}
	}
	to := min(from+2, len(versions))
	list := []obj{}
	for i := from; i < to; i++ {
		k := versions[len(versions)-1-i] // the newest first: nobody is to rely on an order
		list = append(list, obj{"kid": keyID(name, k), "attributes": k.attributes()})
	}
	body := obj{"value": list, "nextLink": nil}
	if to < len(versions) {
		body["nextLink"] = VaultURL + "/keys/" + name + "/versions?api-version=7.5&$skiptoken=" + strconv.Itoa(to)
	}
	answer(w, http.StatusOK, body)
	return nil
}

// wrap does what Key Vault does with a key.
func (s *Server) wrap(w http.ResponseWriter, r *http.Request, name string, k *wrappingKey, operation string) *Fault {
	var body struct{ Alg, Value string }
	err := json.NewDecoder(r.Body).Decode(&body)
	value, bad := base64.RawURLEncoding.DecodeString(body.Value)
	algorithm := map[string]string{"RSA": "RSA-OAEP-256", "oct-HSM": "A256KW"}[k.kind]
	forbidden := func(inner string) *Fault {
		return &Fault{Status: http.StatusForbidden, Code: "Forbidden", Inner: inner}
	}
	switch now := s.now(); {
	case err != nil || bad != nil || body.Alg != algorithm || operation != "wrapkey" && operation != "unwrapkey":
		return &Fault{Status: http.StatusBadRequest, Code: "BadParameter"}
	case k.disabled:
		return forbidden("KeyDisabled")
	case operation == "wrapkey" && !k.since.IsZero() && now.Before(k.since):
		return forbidden("KeyNotYetValid")
	case operation == "wrapkey" && !k.expires.IsZero() && now.After(k.expires):
		return forbidden("KeyExpired")
	}
	var out []byte
	switch {
	case operation == "wrapkey" && k.pair != nil:
		out, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.pair.PublicKey, value, nil)
	case k.pair != nil:
		out, err = rsa.DecryptOAEP(sha256.New(), nil, k.pair, value, nil)
	case operation == "wrapkey":
		out = wrapAES(k.raw, value)
	default:
		out, err = unwrapAES(k.raw, value)
	}
	if err != nil {
		return &Fault{Status: http.StatusBadRequest, Code: "BadParameter"}
	}
	answer(w, http.StatusOK, obj{"kid": keyID(name, k), "value": base64.RawURLEncoding.EncodeToString(out)})
	return nil
}

var initial = []byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}

// wrapAES wraps by AES-KW (RFC 3394, 2.2.1).
func wrapAES(kek, plain []byte) []byte {
	block, err := aes.NewCipher(kek)
	if err != nil {
		panic(err)
	}
	out := append(append([]byte{}, initial...), plain...)
	n := len(plain) / 8
	var b [16]byte
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[:8], out[:8])
			copy(b[8:], out[8*i:])
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b[:])^uint64(n*j+i))
			copy(out[8*i:], b[8:])
		}
	}
	return out
}

// unwrapAES is its inverse (RFC 3394, 2.2.2).
func unwrapAES(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	n := len(wrapped)/8 - 1
	if err != nil || n < 2 || len(wrapped)%8 != 0 {
		return nil, fmt.Errorf("%d bytes are no wrapped key", len(wrapped))
	}
	out := append([]byte{}, wrapped...)
	var b [16]byte
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(out)^uint64(n*j+i))
			copy(b[8:], out[8*i:8*i+8])
			block.Decrypt(b[:], b[:])
			copy(out[:8], b[:8])
			copy(out[8*i:], b[8:])
		}
	}
	if subtle.ConstantTimeCompare(out[:8], initial) != 1 {
		return nil, fmt.Errorf("it does not unwrap")
	}
	return out[8:], nil
}
