package configure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
)

// longestKeyID is what an API server takes, in bytes.
const longestKeyID = 1024

// plugins looks at the plugin of each KMS v2 provider that is new in the next file: an
// API server that is given one which does not work refuses the file, or writes nothing.
// One that has another key than those of other nodes is refused too.
func (s *State) plugins(ctx context.Context, expect string) error {
	had := map[string]bool{}
	for _, e := range s.current.Entries {
		for _, p := range e.Providers {
			had[p.String()+p.Endpoint] = true
		}
	}
	for i := range s.next.Entries {
		first := true
		for _, p := range s.next.Entries[i].Providers {
			writes := first
			first = false
			if p.Kind != "kms" || p.Version != "v2" || had[p.String()+p.Endpoint] && !writes {
				continue
			}
			id, err := plugin(ctx, p)
			if err == nil {
				err = s.same(p.Name, id, expect)
			}
			if err != nil {
				return errs.Newf(errs.KindOf(err), "%s: line %d: %s: %w", s.next.Place, p.Line, p, err)
			}
		}
	}
	return nil
}

// KeyID asks the plugin at a socket as an API server does, and returns its key id.
func KeyID(ctx context.Context, socket string) (string, error) {
	return plugin(ctx, config.Provider{Endpoint: "unix://" + socket})
}

// plugin asks one as an API server does, and returns its key id.
func plugin(ctx context.Context, p config.Provider) (string, error) {
	socket, ok := strings.CutPrefix(p.Endpoint, "unix://")
	if !ok || !filepath.IsAbs(socket) {
		return "", errs.Newf(errs.Invalid, "endpoint %s: it has to be unix:// and an absolute path: unix:///run/strongkeep-kms/kms.sock", p.Endpoint)
	}
	if err := placed(socket); err != nil {
		return "", err
	}
	client, err := conform.Dial(socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := client.Status(ctx)
	switch {
	case err != nil:
		return "", errs.Newf(errs.KindOf(err), "asking the plugin: %w: find out why with strongkeep kms doctor", err)
	case a.GetHealthz() != "ok" || !strings.HasPrefix(a.GetVersion(), "v2"):
		return "", errs.New(errs.Unavailable, "the plugin says that it is not healthy: find out why with strongkeep kms doctor")
	case a.GetKeyId() == "" || len(a.GetKeyId()) > longestKeyID:
		return "", errs.Newf(errs.Invalid, "the plugin's key id has %d bytes, and API servers take 1 to %d: no value could be written with it", len(a.GetKeyId()), longestKeyID)
	}
	return a.GetKeyId(), nil
}

// placed refuses what is no socket, or one that others could replace.
func placed(socket string) error {
	info, err := os.Stat(socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.Newf(errs.NotExist, "there is no socket at %s: start the plugin on this node first (systemctl start strongkeep-kms)", socket)
	case err != nil:
		return errs.Newf(errs.Denied, "looking at the socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errs.Newf(errs.Invalid, "%s is no socket: name that of the plugin", socket)
	}
	return serve.CheckDirectory(filepath.Dir(socket))
}
