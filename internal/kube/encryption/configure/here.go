package configure

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// identity is the one of the API server on a host, which is the name of its lease
// (k8s.io/apiserver pkg/server, NewConfig).
func identity(hostname string) string {
	var text []byte
	for _, part := range []string{hostname, "kube-apiserver"} {
		text = binary.BigEndian.AppendUint16(text, uint16(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return "apiserver-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// here are the URLs of the API servers that read this node's file: those with this host's
// identity, else those at an address of this machine, else those that have this node's
// file in force, of which some may be others'.
func (s *State) here(cfg *Config) map[string]bool {
	id := meter.HashOf(identity(cfg.Host))
	for _, is := range []func(At) bool{
		func(at At) bool { return at.ID == id },
		func(at At) bool { return cfg.Local(at.URL) },
		func(at At) bool { return at.Hash == s.Hash },
	} {
		out := map[string]bool{}
		for _, at := range s.Servers {
			if is(at) {
				out[at.URL] = true
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// local reports whether a URL is at an address of this machine.
func local(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	want, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return u.Hostname() == "localhost"
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == want.Unmap() {
			return true
		}
	}
	return false
}
