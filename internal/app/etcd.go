package app

import (
	"bytes"
	"context"
	"os"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

// EtcdConfig is how to reach etcd, for Storage "etcd" (docs/stores.md).
type EtcdConfig struct {
	// EtcdEndpoints are URLs of members of one cluster.
	EtcdEndpoints []string `json:"etcd_endpoints,omitempty"`
	// EtcdPrefix of all keys. Default strongkeep/.
	EtcdPrefix string `json:"etcd_prefix,omitempty"`
	// EtcdCAFile, EtcdCertFile and EtcdKeyFile are PEM. The certificate is read
	// at every connection. Default: the system's CAs, no certificate.
	EtcdCAFile   string `json:"etcd_ca_file,omitempty"`
	EtcdCertFile string `json:"etcd_cert_file,omitempty"`
	EtcdKeyFile  string `json:"etcd_key_file,omitempty"`
	// EtcdUsername and the password, in a file or given by EtcdPassword, are
	// those of etcd's own authentication.
	EtcdUsername     string `json:"etcd_username,omitempty"`
	EtcdPasswordFile string `json:"etcd_password_file,omitempty"`
	// EtcdTimeout of one request, a Go duration. Default 5s.
	EtcdTimeout string `json:"etcd_timeout,omitempty"`

	EtcdPassword redact.Secret `json:"-"` // from STRONGKEEP_ETCD_PASSWORD
}

// openEtcd opens the store in etcd as the only process that uses it, unless the store is shared.
func openEtcd(ctx context.Context, c *ServerConfig) (store.Store, error) {
	cfg, err := etcdConfig(c)
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, cfg)
}

func etcdConfig(c *ServerConfig) (etcd.Config, error) {
	e := &c.EtcdConfig
	password, err := e.password()
	if err != nil {
		return etcd.Config{}, err
	}
	timeout := time.Duration(0)
	if e.EtcdTimeout != "" {
		if timeout, err = ttl("etcd_timeout", e.EtcdTimeout); err != nil {
			return etcd.Config{}, err
		}
	}
	return etcd.Config{
		Endpoints: e.EtcdEndpoints, Prefix: e.EtcdPrefix,
		CAFile: e.EtcdCAFile, CertFile: e.EtcdCertFile, KeyFile: e.EtcdKeyFile,
		Username: e.EtcdUsername, Password: password,
		Exclusive: !c.SharedStore, Timeout: timeout, Log: c.Log,
	}, nil
}

func (e *EtcdConfig) password() (redact.Secret, error) {
	if e.EtcdPasswordFile == "" {
		return e.EtcdPassword, nil
	}
	if !e.EtcdPassword.Empty() {
		return redact.Secret{}, errs.New(errs.Invalid, "the password of etcd is given twice: in STRONGKEEP_ETCD_PASSWORD and as etcd_password_file; use one")
	}
	content, err := os.ReadFile(e.EtcdPasswordFile)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "reading the password of etcd: %w", err)
	}
	password := bytes.TrimRight(content, "\r\n")
	if len(password) == 0 {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the password file %s of etcd is empty", e.EtcdPasswordFile)
	}
	return redact.New(password), nil
}
