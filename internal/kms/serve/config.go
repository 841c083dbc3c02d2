package serve

import (
	"cmp"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
)

// Config is a plugin's configuration file. The zero value of each field has the
// documented default.
type Config struct {
	// Name is in every key id: the same on all nodes of a cluster, another in each
	// cluster; it never changes.
	Name string `json:"name"`
	// Socket is where API servers come: an absolute path, whose directory belongs to
	// us or root and is writable to nobody else. Default /run/strongkeep-kms/kms.sock.
	Socket string `json:"socket,omitempty"`
	// SocketGroup may use the socket too; default: only its owner (and root) may.
	SocketGroup string `json:"socket_group,omitempty"`
	// Listen is where metrics and /healthz are served, without TLS, on an address of
	// loopback only. Default: nowhere.
	Listen string `json:"listen,omitempty"`
	// Poll, ActivationDelay and StaleAfter are Go durations: see kms.Config.
	Poll            string `json:"poll,omitempty"`
	ActivationDelay string `json:"activation_delay,omitempty"`
	StaleAfter      string `json:"stale_after,omitempty"`
	// KnownKeyID is a key id that the key must have had when the plugin starts. Default:
	// whatever the key store has.
	KnownKeyID string `json:"known_key_id,omitempty"`
	// Key names the key store and has its settings: {"file":{"path":"…"}}.
	Key jsontext.Value `json:"key"`
}

// DefaultSocket is where the plugin listens.
const DefaultSocket = "/run/strongkeep-kms/kms.sock"

// maxSocket is how long the path of a socket may be, so that the one it is made
// under at first fits into sockaddr_un of every system.
const maxSocket = 90

// Load reads a YAML or JSON file. Unknown keys are errors.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, errs.Newf(errs.Invalid, "reading the configuration: %w", err)
	}
	c, err := Parse(raw)
	if err != nil {
		return c, errs.Newf(errs.KindOf(err), "configuration file %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration and checks what can be checked without touching
// anything. Kind Invalid.
func Parse(raw []byte) (Config, error) {
	var c Config
	text, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return c, errs.Newf(errs.Invalid, "it is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := keystore.Decode(text, &c); err != nil {
		return c, err
	}
	c.Socket = cmp.Or(c.Socket, DefaultSocket)
	switch {
	case strings.HasPrefix(c.Socket, "@"):
		return c, errs.Newf(errs.Invalid, "socket %q: everybody on the machine may connect to an abstract socket; give a path", c.Socket)
	case !filepath.IsAbs(c.Socket) || filepath.Clean(c.Socket) != c.Socket:
		return c, errs.Newf(errs.Invalid, "socket %q must be an absolute path, without unix:// and dots", c.Socket)
	case len(c.Socket) > maxSocket:
		return c, errs.Newf(errs.Invalid, "socket has %d characters, more than %d", len(c.Socket), maxSocket)
	case len(c.Key) == 0:
		return c, errs.New(errs.Invalid, "key is missing: it names a key store, such as file or transit")
	}
	if err := c.checkListen(); err != nil {
		return c, err
	}
	_, err = c.times()
	return c, err
}

func (c *Config) checkListen() error {
	if c.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errs.Newf(errs.Invalid, "listen %q must be HOST:PORT of loopback: it has no TLS", c.Listen)
	}
	return nil
}

// Plugin makes the plugin of this configuration, which serves nobody yet.
func (c *Config) Plugin(key keystore.Versioned, log *slog.Logger) (*kms.Plugin, error) {
	cfg, err := c.times()
	if err != nil {
		return nil, err
	}
	cfg.Name, cfg.Key, cfg.Known, cfg.Log = c.Name, key, c.KnownKeyID, log
	return kms.New(cfg)
}

// times returns the durations as kms.Config has them.
func (c *Config) times() (kms.Config, error) {
	var k kms.Config
	for _, d := range []struct {
		name, text string
		to         *time.Duration
		zero       time.Duration
	}{
		{"poll", c.Poll, &k.Poll, 0},
		{"activation_delay", c.ActivationDelay, &k.ActivationDelay, -1},
		{"stale_after", c.StaleAfter, &k.StaleAfter, 0},
	} {
		if d.text == "" {
			continue
		}
		v, err := time.ParseDuration(d.text)
		if err != nil || v < 0 || v == 0 && d.zero == 0 {
			return k, errs.Newf(errs.Invalid, "%s %q: use a duration such as 30s", d.name, d.text)
		}
		if *d.to = v; v == 0 {
			*d.to = d.zero
		}
	}
	return k, nil
}
