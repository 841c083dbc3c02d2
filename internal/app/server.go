package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/app/certificate"
	"github.com/strongkeep/strongkeep/internal/app/cluster"
	"github.com/strongkeep/strongkeep/internal/app/reload"
	"github.com/strongkeep/strongkeep/internal/app/unseal"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/server"
	"github.com/strongkeep/strongkeep/internal/vault/server/cors"
	"github.com/strongkeep/strongkeep/internal/vault/server/logtap"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
	"github.com/strongkeep/strongkeep/internal/vault/store/sealed"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// Server is a running vault: store, seal, gate and HTTP listener.
type Server struct {
	tap       *logtap.Tap // of cfg.Log
	cfg       ServerConfig
	cors      cors.Live
	raw       store.Store
	gate      *gate.Gate
	metrics   *metrics
	collector collector
	handler   *server.Handler
	http      *http.Server
	listener  net.Listener
	keeper    *keeper.Keeper
	vault     atomic.Pointer[unsealed.Vault] // that is or was open last; nil = none was
	caFile    string                         // "" with a certificate of the operator's, or without TLS
	seal      string                         // the kind of key that unseals
	files     *certificate.Files             // nil without a certificate of the operator's
	reloader  *reload.Reloader
	await     bool // a key shall open what the start left sealed
	keyed     bool // an unseal key could be opened at the start
	keys      *unseal.Ring
	devRoot   redact.Secret
	devKey    redact.Secret
}

// NewServer opens the store and the listener and, where it can without people,
// unseals the vault. Nothing is served before Serve.
func NewServer(ctx context.Context, c ServerConfig) (_ *Server, err error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: c, tap: new(logtap.Tap)}
	s.cfg.Log = slog.New(s.tap.Handler(c.Log.Handler(), c.level))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.makeDirs(); err != nil {
		return nil, err
	}
	if err := s.openVault(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	s.reloader = s.makeReloader()
	return s, s.unseal(ctx)
}

func (s *Server) makeDirs() error {
	if s.cfg.Storage == "mem" && s.cfg.Dev {
		return nil
	}
	for _, dir := range []string{s.cfg.DataDir, s.cfg.AuditDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return errs.Newf(errs.Unavailable, "making the directory %s: %w", dir, err)
		}
	}
	return nil
}

func (s *Server) openVault(ctx context.Context) error {
	c := &s.cfg
	defaultTTL, err := ttl("default_lease_ttl", c.DefaultLeaseTTL)
	if err != nil {
		return err
	}
	maxTTL, err := ttl("max_lease_ttl", c.MaxLeaseTTL)
	if err != nil {
		return err
	}
	leaseTTL := time.Duration(0)
	if c.DefaultLeaseTTL == "" {
		leaseTTL = defaultSecretTTL
	}
	if s.raw, err = openUsable(ctx, c); err != nil {
		return err
	}
	if _, err := c.Format.Check(ctx, s.raw); err != nil {
		return errs.Newf(errs.KindOf(err), "opening the store: %w", err)
	}
	usable := func(ctx context.Context) error { return snapshot.Usable(ctx, s.raw) } // not while it is being restored
	s.keys = &unseal.Ring{Read: s.keysNow, Usable: usable, Log: c.Log}
	wrappers, err := s.keys.Open()
	if err != nil {
		return err
	}
	s.seal = seal.KindShamir
	if s.keyed = len(wrappers) > 0; s.keyed {
		s.seal = wrappers[0].Name()
	}
	s.metrics = newMetrics()
	barrier := seal.New(seal.Config{Store: s.raw, Wrappers: wrappers, Now: c.Now, Log: c.Log})
	s.keeper = s.newKeeper(barrier)
	s.gate = gate.New(gate.Config{
		Config: unsealed.Config{
			Barrier: barrier,
			Open:    s.decorate,
			Types: func(v *unsealed.Vault) unsealed.Types {
				s.vault.Store(v)
				return unsealed.Types{Secrets: withEngines(secretsEngines(), c.Engines), Auths: authMethods(), Systems: systemMounts(v, s.node(), s.keeper, cluster.Routes(s.raw), s.keys.Reload)}
			},
			Settings:   s.settings,
			MaxSilence: memorySilence(c), Node: s.self, Version: Version, Format: c.Format.Newest,
			LeaseTTL: leaseTTL, HoldLeases: c.HoldLeases,
			SkipAudit: c.SkipAuditDevices,
			TTLs:      engine.TTLs{Default: min(defaultTTL, maxTTL), Max: maxTTL},
			Defaults:  s.defaults(),
			Now:       c.Now, Random: rand.Reader, Log: c.Log,
		},
		Raw: s.raw, Devices: auditDevices(c), Observe: s.metrics.observe, Version: Version,
		Program: c.Format, HoldFormat: c.HoldFormat,
	})
	s.collector.gate, s.collector.newest = s.gate, c.Format.Newest
	s.collector.keeper, s.keys.Gate = s.keeper, s.gate
	s.metrics.registry.MustRegister(append(cluster.Collectors(s.raw), &s.collector, s.keys)...)
	return nil
}

// cacheSilence is how long entries are believed without a sign of life of the store; 0 = for ever.
func (s *Server) cacheSilence() time.Duration {
	if s.cfg.SharedStore {
		return etcd.MaxSilenceShared
	}
	return stores()[s.cfg.Storage].silence
}

// memorySilence is how long what is built from entries is believed without a sign of life of a
// store that others write to; 0 = for ever.
func memorySilence(c *ServerConfig) time.Duration {
	if c.SharedStore {
		return 3 * time.Second
	}
	return 0
}

// self is this node, as others see it.
func (s *Server) self() leader.Node {
	name := s.cfg.NodeName
	if name == "" {
		name, _ = os.Hostname() // empty is fine
	}
	return leader.Node{Name: name, Address: cmp.Or(s.cfg.APIAddr, s.reachable())}
}

// reachable is a URL at which others may reach the server: one that listens on all addresses
// is at its host's name.
func (s *Server) reachable() string {
	host, port, err := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return s.URL()
	}
	name, err := os.Hostname()
	if err != nil {
		return s.URL()
	}
	return strings.Replace(s.URL(), s.Addr(), net.JoinHostPort(name, port), 1)
}

func withEngines(all, more map[string]engine.Factory) map[string]engine.Factory {
	maps.Copy(all, more)
	return all
}

// plainPrefixes hold names that are hashes and times, never secrets, and need
// their order (package sealed).
var plainPrefixes = []string{"lease/", "token/"}

// decorate puts sealing and caching over the raw store, which stays open when
// the result is closed.
func (s *Server) decorate(raw store.Store, keys *seal.Keyring) (store.Store, error) {
	inner, err := sealed.New(store.Borrow(raw), sealed.Config{Sealer: keys, PlainPrefixes: plainPrefixes, Told: []string{unsealed.EventsKey}})
	if err != nil {
		return nil, err
	}
	if err := snapshot.TakeUp(context.Background(), raw, inner, keys); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	c := cached.New(inner, cached.Config{MaxBytes: s.cfg.CacheBytes, MaxSilence: s.cacheSilence(), Log: s.cfg.Log})
	s.collector.cache.Store(c)
	return c, nil
}

func (s *Server) defaults() unsealed.Defaults {
	var d unsealed.Defaults
	if !s.cfg.NoDefaultAudit && !s.cfg.Dev {
		d.Audit = []devices.Device{{
			Spec:        audit.Spec{Path: "file/", Type: "file", Options: map[string]string{"file_path": "audit.log"}},
			Description: "enabled when the vault was initialised",
		}}
	}
	if s.cfg.Dev {
		d.RootToken = s.cfg.DevRootToken
		d.Mounts = []mount.Entry{{
			Class: mount.Secret, Path: "secret/", Type: "kv",
			Options: map[string]string{"version": "2"}, Description: "key/value secret storage",
		}}
	}
	return d
}

// listen opens the port, so that a port in use is an error of NewServer.
func (s *Server) listen(ctx context.Context) error {
	s.handler = server.New(server.Config{
		Gate: s.gate, Log: s.cfg.Log, Now: s.cfg.Now, Metrics: s.metrics.handler(), Tap: s.tap, CORS: &s.cors, Snapshot: s.writeSnapshot,
		Warnings: func() []string { return cluster.Warnings(s.raw) },
		Version:  apiVersion(), BuildDate: BuildDate, StorageType: s.cfg.Storage,
	})
	s.http = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		// Who sends or reads slower than this holds memory for nothing. Event
		// streams are taken over from the http.Server and free of it.
		ReadTimeout: server.RequestTimeout, WriteTimeout: 2*server.RequestTimeout + time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelInfo),
	}
	var err error
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
		return errs.Newf(errs.Unavailable, "listening on %s: %w; -listen chooses another address", s.cfg.Listen, err)
	}
	if s.cfg.Dev && s.cfg.TLSCert == "" {
		return nil
	}
	s.http.TLSConfig, err = s.tlsConfig()
	return err
}

func (s *Server) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		// Asked for and not demanded: the auth method cert decides whom to believe.
		ClientAuth: tls.RequestClientCert}
	if s.cfg.TLSCert != "" {
		s.files = certificate.NewFiles(s.cfg.TLSCert, s.cfg.TLSKey)
		c.GetCertificate = s.files.Certificate
		_, err := s.files.Certificate(nil)
		return c, err
	}
	issuer := &certificate.Issuer{Dir: filepath.Join(s.cfg.DataDir, "tls"), Names: s.cfg.ServerNames(), Now: s.cfg.Now, Log: s.cfg.Log}
	if s.cfg.Storage == settings.Storage {
		own, err := s.cfg.Config(s.cfg.DataDir)
		if err != nil {
			return nil, err
		}
		if issuer.Shared, err = certificate.NewAuthority(own.Key); err != nil {
			return nil, err
		}
	}
	s.caFile = issuer.CAFile()
	c.GetCertificate = issuer.Certificate
	return c, issuer.Open()
}

// unseal initialises a development vault, and opens one that has a key.
func (s *Server) unseal(ctx context.Context) error {
	status, err := s.gate.Barrier().Status(ctx)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading the seal: %w", err)
	}
	switch {
	case s.cfg.Dev && !status.Initialized:
		return s.initDev(ctx)
	case !status.Initialized && !s.keyed && s.keys.Broken() != nil:
		return s.keys.Broken() // there is nothing to rescue yet, and the vault would be made without its key
	case !status.Initialized:
		s.await = s.cfg.SharedStore && s.keyed // another node may make the vault
	case status.AutoUnseal:
		_, err := s.keys.Try(ctx)
		s.await = err != nil
	}
	return nil
}

func (s *Server) initDev(ctx context.Context) error {
	made, err := s.gate.Init(ctx, seal.InitConfig{Shares: 1, Threshold: 1})
	if err != nil {
		return err
	}
	s.devRoot, s.devKey = made.RootToken, redact.FromString(hex.EncodeToString(made.Shares[0].Reveal()))
	_, err = s.gate.Unseal(ctx, redact.FromString(s.devKey.RevealString())) // wiped there
	return err
}

// perishable is a store that may come to an end while the process runs: what is in memory is worth
// nothing then. Whoever supervises the process starts it anew.
type perishable interface {
	Broken() <-chan struct{}
	Err() error // why
}

// Serve answers requests until ctx ends, or the store does, then lets those under way finish.
func (s *Server) Serve(ctx context.Context) error {
	var tending sync.WaitGroup
	defer tending.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tending.Go(func() { s.keys.Tend(ctx, s.await) })
	defer s.keeper.Start(ctx, s.keeps)()
	failed := make(chan error, 1)
	go func() {
		if s.http.TLSConfig != nil {
			failed <- s.http.ServeTLS(s.listener, "", "")
		} else {
			failed <- s.http.Serve(s.listener)
		}
	}()
	var broken <-chan struct{}
	raw, ok := s.raw.(perishable)
	if ok {
		broken = raw.Broken()
	}
	var why error
	select {
	case err := <-failed:
		return errs.Newf(errs.Unavailable, "serving: %w", err)
	case <-cluster.Of(s.raw).Lost():
		return errors.Join(s.http.Close(), cluster.Of(s.raw).Err())
	case <-broken:
		why = raw.Err()
	case <-ctx.Done():
	}
	grace, end := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer end()
	s.handler.EndStreams()
	if err := s.http.Shutdown(grace); err != nil {
		return errors.Join(why, s.http.Close(), errs.Newf(errs.Unavailable, "waiting for requests under way: %w", err))
	}
	return why
}

// Addr is what the server listens on, with the real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is how clients reach the server on this machine.
func (s *Server) URL() string {
	scheme := "https"
	if s.http.TLSConfig == nil {
		scheme = "http"
	}
	return scheme + "://" + s.Addr()
}

// CAFile is the CA certificate that clients need, "" if the server made none.
func (s *Server) CAFile() string { return s.caFile }

// DevRootToken is the root token of a development vault made by this start.
func (s *Server) DevRootToken() redact.Secret { return s.devRoot }

// DevUnsealKey opens a development vault that was sealed, or started again on
// storage that lasts. Only the start that made the vault has it.
func (s *Server) DevUnsealKey() redact.Secret { return s.devKey }

// Gate is the vault below HTTP; for tests and for signals.
func (s *Server) Gate() *gate.Gate { return s.gate }

// Handler is the HTTP API, for tests that need no port.
func (s *Server) Handler() http.Handler { return s.handler }

// Close seals the vault and closes the store. Serve must have returned.
func (s *Server) Close() error {
	var all []error
	if s.listener != nil {
		_ = s.listener.Close() // Serve closed it, unless it never ran
	}
	if s.gate != nil {
		all = append(all, s.gate.Close())
	}
	if s.raw != nil {
		all = append(all, s.raw.Close())
	}
	return errors.Join(all...)
}
