package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

// soon is when the end of a certificate is near.
const soon = 21 * 24 * time.Hour

// certificates looks at those that files hold.
func (v *visit) certificates() {
	c := &v.cfg.Server
	if c.TLSCert != "" {
		v.pair("tls_cert fits and lasts", c.TLSCert, c.TLSKey, c.TLSNames)
	} else if !c.Dev {
		v.ownCA(filepath.Join(c.DataDir, "tls", "ca.pem"))
	}
	if c.EtcdCertFile != "" {
		v.pair("etcd_cert_file fits and lasts", c.EtcdCertFile, c.EtcdKeyFile, nil)
	}
}

func (v *visit) pair(question, cert, key string, names []string) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		v.add(question, Failed, err.Error(), "put a certificate and its key there, PEM; a running server reads them again by itself")
		return
	}
	for _, name := range names {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			v.add(question, Failed, fmt.Sprintf("%s is not for %s of tls_names: %v", cert, name, err), "have it issued with that name")
			return
		}
	}
	v.lasts(question, cert, pair.Leaf)
}

func (v *visit) lasts(question, file string, leaf *x509.Certificate) {
	left := leaf.NotAfter.Sub(v.cfg.Now())
	detail := fmt.Sprintf("%s ends on %s", file, leaf.NotAfter.UTC().Format(time.RFC3339))
	switch {
	case left <= 0:
		v.add(question, Failed, detail+": it has ended", "have it issued anew; a running server reads the files again by itself")
	case v.cfg.Now().Before(leaf.NotBefore):
		v.add(question, Failed, fmt.Sprintf("%s begins on %s only", file, leaf.NotBefore.UTC().Format(time.RFC3339)), "look at the clock: timedatectl")
	case left < soon:
		v.add(question, Warning, fmt.Sprintf("%s, in %d days", detail, int(left.Hours()/24)), "have it issued anew; a running server reads the files again by itself")
	default:
		v.ok(question, "%s", detail)
	}
}

func (v *visit) ownCA(file string) {
	const question = "the server's own CA lasts"
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		v.ok(question, "there is none yet: the server makes it at its first start")
		return
	}
	block, _ := pem.Decode(raw)
	if err != nil || block == nil {
		v.add(question, Failed, file+" cannot be read as PEM", "remove ca.pem and ca-key.pem there and start the server: it makes new ones, which clients must be given")
		return
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		v.add(question, Failed, file+": "+err.Error(), "remove ca.pem and ca-key.pem there and start the server: it makes new ones, which clients must be given")
		return
	}
	v.lasts(question, file, ca)
}

// listener looks whether the port can be had.
func (v *visit) listener(ctx context.Context) {
	const question = "the address can be listened on"
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", v.cfg.Server.Listen)
	switch {
	case err == nil:
		_ = l.Close()
		v.ok(question, "%s is free", v.cfg.Server.Listen)
	case errors.Is(err, syscall.EADDRINUSE) && v.runs:
		v.ok(question, "%s is in use, and a Strongkeep answers at %s", v.cfg.Server.Listen, v.cfg.Address)
	case errors.Is(err, syscall.EADDRINUSE):
		v.add(question, Failed, v.cfg.Server.Listen+" is in use, and no Strongkeep that could be asked is there", "find who has it: ss -ltnp; if it is the server, give -address and -ca-cert")
	default:
		v.add(question, Failed, err.Error(), "choose another address with listen")
	}
}

// storage asks etcd, or whether the other members of a cluster can be reached; the embedded
// store's directory is looked at as a disk.
func (v *visit) storage(ctx context.Context) {
	switch v.cfg.Server.Storage {
	case "etcd":
		v.etcd(ctx)
	case settings.Storage:
		v.others(ctx)
	}
}
