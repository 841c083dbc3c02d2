package stored

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// EtcdConfig is how to reach an etcd.
type EtcdConfig struct {
	Endpoints []string
	// CAFile, CertFile and KeyFile are PEM; all "" is without TLS.
	CAFile, CertFile, KeyFile string
	// Patience is how long etcd has for one page; 0 is 30 s.
	Patience time.Duration
}

// Etcd is a running one. It only reads.
type Etcd struct {
	cfg    EtcdConfig
	client *clientv3.Client
}

// Dial makes the client. It reaches nothing yet. Errors are Invalid.
func Dial(cfg EtcdConfig) (*Etcd, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errs.New(errs.Invalid, "no etcd is named: give its endpoints, or the file of a snapshot")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 30 * time.Second
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errs.New(errs.Invalid, "a client certificate of etcd and its key go together: give both or none")
	}
	var secure *tls.Config
	if cfg.CAFile != "" || cfg.CertFile != "" {
		var err error
		info := transport.TLSInfo{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.CAFile}
		if secure, err = info.ClientConfig(); err != nil {
			return nil, errs.Newf(errs.Invalid, "reading the certificates for etcd (%s, %s): %w", cfg.CAFile, cfg.CertFile, err)
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cfg.Endpoints, TLS: secure, Logger: zap.NewNop()})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of etcd at %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	return &Etcd{cfg, client}, nil
}

// Close ends the connections.
func (e *Etcd) Close() error { return e.client.Close() }

// Pages grow and shrink to some pageBytes, so that neither small values nor large
// ones need much memory: a Secret may have a megabyte.
const (
	firstPage, largestPage = 64, 1000
	pageBytes              = 4 << 20
)

// Read reads each folder page by page, all at one revision as long as etcd has it.
func (e *Etcd) Read(ctx context.Context, folders []string, visit func(Entry)) (Origin, error) {
	r := &walk{Etcd: e, visit: visit, limit: firstPage}
	r.origin.Source = e.source()
	for _, folder := range folders {
		if err := r.folder(ctx, folder); err != nil {
			return r.origin, err
		}
	}
	return r.origin, nil
}

// Get reads one value as it is now, with its revision; 0 if it is not there.
func (e *Etcd) Get(ctx context.Context, key string) (value []byte, revision int64, err error) {
	w := &walk{Etcd: e, limit: 1}
	w.origin.Source = e.source()
	page, err := w.page(ctx, key, "")
	if err != nil || len(page.Kvs) == 0 {
		return nil, 0, err
	}
	return page.Kvs[0].Value, page.Kvs[0].ModRevision, nil
}

func (e *Etcd) source() string { return "etcd at " + strings.Join(e.cfg.Endpoints, ", ") }

// walk is one reading of everything.
type walk struct {
	*Etcd
	visit    func(Entry)
	origin   Origin
	revision int64 // to read at; 0 = the newest
	limit    int64
}

func (w *walk) folder(ctx context.Context, folder string) error {
	from, end := folder, clientv3.GetPrefixRangeEnd(folder)
	for {
		page, err := w.page(ctx, from, end)
		if err != nil {
			return err
		}
		size := 0
		for _, kv := range page.Kvs {
			size += len(kv.Value)
			w.visit(Entry{Key: kv.Key, Value: kv.Value, Revision: kv.ModRevision})
		}
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		fits := int64(pageBytes / max(1, size/len(page.Kvs)))
		w.limit = max(1, min(fits, 2*w.limit, largestPage))
	}
}

// page reads one. A revision that etcd has forgotten is followed by the newest.
func (w *walk) page(ctx context.Context, from, end string) (*clientv3.GetResponse, error) {
	for {
		one, cancel := context.WithTimeout(ctx, w.cfg.Patience)
		page, err := w.client.Get(one, from, clientv3.WithRange(end), clientv3.WithLimit(w.limit), clientv3.WithRev(w.revision))
		cancel()
		switch {
		case err == nil:
			if w.revision == 0 {
				w.revision = page.Header.Revision
				w.origin.Revision = w.revision
				w.origin.Instants++
			}
			return page, nil
		case w.revision != 0 && errors.Is(err, rpctypes.ErrCompacted) && ctx.Err() == nil:
			w.revision = 0
		default:
			return nil, w.explain(ctx, err)
		}
	}
}

func (w *walk) explain(ctx context.Context, err error) error {
	at := w.origin.Source
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return errs.Newf(errs.Denied, "reading %s: it does not let this certificate read: use the API server's own (--etcd-certfile)", at)
	case errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrAuthFailed):
		return errs.Newf(errs.Unauthenticated, "reading %s: it does not know who asks: use the API server's certificate (--etcd-certfile)", at)
	}
	return errs.Newf(errs.Unavailable, "reading %s: %w: are its address and the certificates those of the API server (--etcd-servers, --etcd-cafile, --etcd-certfile)?", at, err)
}
