package diagnose

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/app/certificate"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// A server is asked where its settings say that it listens, and believed by its own CA, unless somebody said
// otherwise.
func TestFind(t *testing.T) {
	good, damaged, none := t.TempDir(), t.TempDir(), t.TempDir()
	issuer := &certificate.Issuer{Dir: filepath.Join(good, "tls"), Names: []string{"localhost"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if err := issuer.Open(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(damaged, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "tls", "ca.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	type want struct{ address, ca string }
	for name, c := range map[string]struct {
		cfg   app.ServerConfig
		given session.Connection
		env   map[string]string
		want  want
	}{
		"its listener":         {app.ServerConfig{Listen: "10.1.2.3:8300", DataDir: none}, session.Connection{}, nil, want{"https://10.1.2.3:8300", ""}},
		"all addresses":        {app.ServerConfig{Listen: "0.0.0.0:8300", DataDir: none}, session.Connection{}, nil, want{"https://127.0.0.1:8300", ""}},
		"all of IPv6":          {app.ServerConfig{Listen: "[::]:8300", DataDir: none}, session.Connection{}, nil, want{"https://127.0.0.1:8300", ""}},
		"no host":              {app.ServerConfig{Listen: ":8300", DataDir: none}, session.Connection{}, nil, want{"https://127.0.0.1:8300", ""}},
		"IPv6":                 {app.ServerConfig{Listen: "[::1]:8300", DataDir: none}, session.Connection{}, nil, want{"https://[::1]:8300", ""}},
		"any port":             {app.ServerConfig{Listen: "127.0.0.1:0", DataDir: good}, session.Connection{}, nil, want{}},
		"no address":           {app.ServerConfig{DataDir: good}, session.Connection{}, nil, want{}},
		"its CA":               {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good}, session.Connection{}, nil, want{"https://127.0.0.1:8300", issuer.CAFile()}},
		"a CA that is none":    {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: damaged}, session.Connection{}, nil, want{"https://127.0.0.1:8300", ""}},
		"a certificate":        {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good, TLSCert: "x"}, session.Connection{}, nil, want{"https://127.0.0.1:8300", ""}},
		"another CA":           {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good}, session.Connection{CACert: "own.pem"}, nil, want{"https://127.0.0.1:8300", "own.pem"}},
		"a CA by a variable":   {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good}, session.Connection{}, map[string]string{"VAULT_CACERT": "x"}, want{"https://127.0.0.1:8300", ""}},
		"an address":           {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good}, session.Connection{Address: "https://v"}, nil, want{"https://v", ""}},
		"address, by variable": {app.ServerConfig{Listen: "127.0.0.1:8300", DataDir: good}, session.Connection{}, map[string]string{"STRONGKEEP_ADDR": "https://v"}, want{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session.Session{Env: session.Env{Getenv: func(v string) string { return c.env[v] }}, Conn: c.given}
			find(s, c.cfg)
			if got := (want{s.Conn.Address, s.Conn.CACert}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
