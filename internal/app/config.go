package app

import (
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/app/unseal"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

// ServerConfig is how a server runs. The same names, in snake case, are the
// keys of the configuration file, the flags of "strongkeep server" (with dashes)
// and the STRONGKEEP_* environment variables. The zero value of each field has
// the documented default.
type ServerConfig struct {
	// DataDir holds everything the server writes: the store, the TLS material
	// it makes, and audit logs. Default /var/lib/strongkeep.
	DataDir string `json:"data_dir,omitempty"`
	// Storage is "pebble" (in DataDir/store, the default), "etcd" (an external
	// cluster, by EtcdConfig), "cluster" (an etcd cluster of the servers' own, by
	// settings.Cluster) or "mem" (nothing survives).
	Storage string `json:"storage,omitempty"`
	EtcdConfig
	settings.Cluster
	// Listen is the address of the API. Default 127.0.0.1:8200.
	Listen string `json:"listen,omitempty"`
	// TLSCert and TLSKey are PEM files, read again when they change. Without
	// them the server makes a CA and a certificate in DataDir/tls.
	TLSCert string `json:"tls_cert,omitempty"`
	TLSKey  string `json:"tls_key,omitempty"`
	// TLSNames are further DNS names and IP addresses for the certificate the server makes.
	TLSNames []string `json:"tls_names,omitempty"`
	// UnsealKeyFile is a static key that unseals the vault without people;
	// it must not be readable by others (docs/operations/unsealing.md says by whom). Default: shares only.
	UnsealKeyFile string `json:"unseal_key_file,omitempty"`
	// UnsealKeyStore is a file, YAML or JSON, that names a key store whose key
	// unseals the vault without people (docs/encryption.md#key-stores).
	UnsealKeyStore string `json:"unseal_key_store,omitempty"`
	// Seals are more keys that unseal the vault without people, each with a name. All are tried at
	// once, and any one opens the vault (docs/operations/unsealing.md). SIGHUP reads the list again.
	Seals []unseal.Config `json:"seals,omitempty"`
	// AuditDir is the only directory below which file audit devices may write.
	// Default DataDir/audit.
	AuditDir string `json:"audit_dir,omitempty"`
	// SnapshotDir is the only directory below which plans of snapshots may keep them.
	// Default DataDir/snapshots: better on another disk.
	SnapshotDir string `json:"snapshot_dir,omitempty"`
	// NoDefaultAudit leaves a new vault without the file device that is otherwise
	// enabled at initialisation.
	NoDefaultAudit bool `json:"no_default_audit,omitempty"`
	// SkipAuditDevices names audit devices that are stored but not enabled by
	// this start, when one can no longer work and keeps the vault sealed.
	SkipAuditDevices []string `json:"skip_audit_devices,omitempty"`
	// CacheBytes bounds the memory for decrypted entries. Default 32 MiB.
	CacheBytes int `json:"cache_bytes,omitempty"`
	// DefaultLeaseTTL and MaxLeaseTTL are Go durations. Default 768h both, but 1h
	// for leases of secrets whose role and mount name no TTL.
	DefaultLeaseTTL string `json:"default_lease_ttl,omitempty"`
	MaxLeaseTTL     string `json:"max_lease_ttl,omitempty"`
	// HoldLeases starts without ending anything: no lease or token is swept up,
	// no password rotated, until sys/leases/resume is written to. For a copy
	// restored from a backup while the original lives on.
	HoldLeases bool `json:"hold_leases,omitempty"`
	// HoldFormat writes nothing in a form that the store does not hold yet, so that the
	// version before can be gone back to (docs/operations/upgrades.md).
	HoldFormat bool `json:"hold_format,omitempty"`
	// LogLevel is debug, info, warn or error; LogFormat is text or json.
	LogLevel  string `json:"log_level,omitempty"`
	LogFormat string `json:"log_format,omitempty"`
	// Dev is the development mode: storage in memory unless Storage is set,
	// plain HTTP on a loopback address, initialised and unsealed at start, kv
	// version 2 at secret/.
	Dev bool `json:"-"`
	// DevRootToken is the root token of development mode; empty = random.
	DevRootToken string `json:"-"`

	// SharedStore, ha_enabled, lets several servers use the same store in etcd (docs/operations/nodes.md): each
	// serves reads and writes. APIAddr is the URL at which clients reach this one then, by default that of
	// Listen; NodeName is its name, by default the host's.
	SharedStore bool   `json:"ha_enabled,omitempty"`
	APIAddr     string `json:"api_addr,omitempty"`
	NodeName    string `json:"node_name,omitempty"`

	// Engines are secrets engines besides those of the registry; for tests.
	Engines map[string]engine.Factory `json:"-"`

	// Reread reads the configuration again, for Server.Reload; nil = it stays as it is.
	Reread func() (ServerConfig, error) `json:"-"`
	// Format is what the program reads and writes; for tests. Zero: format.This.
	Format format.Program `json:"-"`

	level   *slog.LevelVar // of what the server logs
	started *slog.LevelVar // what the configuration says it is

	Log *slog.Logger     `json:"-"` // default: made of LogLevel and LogFormat on standard error
	Now func() time.Time `json:"-"` // default: the system's clock
}

// wrongType is how the library says that a key's value cannot be what it is.
var wrongType = regexp.MustCompile(`^cannot unmarshal (\S+) into Go struct field (?:\w+\.)*(\w+) of type (\S+)$`)

// LoadServerConfig reads a YAML or JSON file. Unknown keys are errors.
func LoadServerConfig(path string) (ServerConfig, error) {
	var c ServerConfig
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, errs.Newf(errs.Invalid, "reading the configuration: %w", err)
	}
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		text := err.Error()
		for _, layer := range []string{"error unmarshaling JSON: ", "while decoding JSON: ", "json: "} {
			text = strings.TrimPrefix(text, layer) // of the library; the file may well be YAML
		}
		text = wrongType.ReplaceAllString(text, "$2 is a $1 there, and has to be of type $3")
		return c, errs.Newf(errs.Invalid, "configuration file %s: %s; strongkeep server --help lists what there is, with - for _", path, text)
	}
	return c, nil
}

// Tokens live as long as clients of Vault expect. Leases of secrets pile up and
// outlive what asked for them: who wants more than an hour says so.
const (
	defaultLeaseTTL  = 768 * time.Hour
	defaultSecretTTL = time.Hour
)

// complete fills in defaults and checks what can be checked without touching anything.
func (c *ServerConfig) complete() error {
	setDefault(&c.DataDir, "/var/lib/strongkeep")
	if c.Dev {
		setDefault(&c.Storage, "mem")
	}
	setDefault(&c.Storage, "pebble")
	setDefault(&c.Listen, "127.0.0.1:8200")
	setDefault(&c.AuditDir, filepath.Join(c.DataDir, "audit"))
	setDefault(&c.SnapshotDir, filepath.Join(c.DataDir, "snapshots"))
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Format == (format.Program{}) {
		c.Format = format.This
	}
	setDefault(&c.Format.Version, Version)
	if err := c.checkListen(); err != nil {
		return err
	}
	if err := c.checkShared(); err != nil {
		return err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errs.New(errs.Invalid, "tls_cert and tls_key go together: set both or neither")
	}
	return c.makeLog()
}

// checkShared checks what concerns other servers.
func (c *ServerConfig) checkShared() error {
	if c.Storage == settings.Storage { // also of one member: it may grow
		c.SharedStore = true
		setDefault(&c.NodeName, c.ClusterNode)
	}
	if c.SharedStore && stores()[c.Storage].silence == 0 {
		return errs.Newf(errs.Invalid, "ha_enabled: storage %q is of one server; several need storage etcd or cluster", c.Storage)
	}
	if c.APIAddr == "" {
		return nil
	}
	u, err := url.Parse(c.APIAddr)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errs.New(errs.Invalid, "api_addr must be the URL at which clients reach this server, such as https://vault-0.example.com:8200")
	}
	return nil
}

func (c *ServerConfig) checkListen() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return errs.Newf(errs.Invalid, "listen %q must be HOST:PORT", c.Listen)
	}
	if !c.Dev {
		return nil
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errs.Newf(errs.Invalid, "listen %q: development mode speaks plain HTTP and listens on loopback only", c.Listen)
	}
	return nil
}

// makeLog makes a log that writes everything: who wraps it holds it to c.level,
// which sys/loggers may change.
func (c *ServerConfig) makeLog() error {
	var level slog.Level
	setDefault(&c.LogLevel, "info")
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return errs.Newf(errs.Invalid, "log_level %q: use debug, info, warn or error", c.LogLevel)
	}
	if c.level == nil { // else it is complete already, and others have the level
		c.level, c.started = new(slog.LevelVar), new(slog.LevelVar)
		c.level.Set(level)
		c.started.Set(level)
	}
	if c.Log != nil {
		return nil
	}
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	switch c.LogFormat {
	case "", "text":
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, options))
	case "json":
		c.Log = slog.New(slog.NewJSONHandler(os.Stderr, options))
	default:
		return errs.Newf(errs.Invalid, "log_format %q: use text or json", c.LogFormat)
	}
	return nil
}

// ttl parses one of the lease TTLs.
func ttl(name, v string) (time.Duration, error) {
	if v == "" {
		return defaultLeaseTTL, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errs.Newf(errs.Invalid, "%s %q: use a positive duration such as 24h", name, v)
	}
	return d, nil
}

func setDefault(s *string, v string) {
	if strings.TrimSpace(*s) == "" {
		*s = v
	}
}
