package reload

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/app/certificate"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// patience bounds the reopening of audit devices.
const patience = 10 * time.Second

// Reloader is what one server takes up without a restart. Fields are set before the first Run.
type Reloader struct {
	Log     *slog.Logger
	Level   *slog.LevelVar     // of what the server logs, which sys/loggers may change too
	Started *slog.LevelVar     // what the configuration says it is
	Files   *certificate.Files // nil without a certificate of the operator's
	// Read reads the configuration again and checks it; nil = it stays as it is.
	Read func() (Settings, error)
	// Keys reads the unseal keys of the configuration again.
	Keys func() error
	// Audit reopens the audit devices.
	Audit func(context.Context) error

	mu sync.Mutex // serialises Run, and is held by nothing else
}

// Settings are those of a configuration that was read again.
type Settings struct {
	Level     slog.Level
	Cert, Key string // files of a certificate; both empty if there is none
	// Was and Is are the configuration that the server began with and that of now. Those of
	// their settings that differ are found by the names that they have in JSON.
	Was, Is any
}

// taken are the settings that are taken up whatever else is set.
var taken = []string{"log_level", "seals", "unseal_key_file", "unseal_key_store"}

// Run takes up what can be: the log's level, the unseal keys, the certificate's files, and audit files after a
// rotation of logs. What else has changed in the configuration is named in the log. What cannot
// be read changes nothing. It may be called concurrently.
func (r *Reloader) Run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings()
	r.certificate()
	if err := r.Keys(); err != nil {
		r.Log.Error("the unseal keys stay as they were", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Audit(ctx); err != nil {
		r.Log.Error("reopening the audit devices", "error", err)
		return
	}
	r.Log.Info("audit devices are reopened")
}

func (r *Reloader) settings() {
	if r.Read == nil {
		return
	}
	next, err := r.Read()
	if err != nil {
		r.Log.Error("the configuration stays as it was", "error", err)
		return
	}
	changed, err := differ(next.Was, next.Is)
	if err != nil {
		r.Log.Error("the configuration stays as it was", "error", err)
		return
	}
	files := r.Files != nil && next.Cert != ""
	late := slices.DeleteFunc(changed, func(name string) bool {
		return slices.Contains(taken, name) || files && (name == "tls_cert" || name == "tls_key")
	})
	if next.Level != r.Started.Level() {
		r.Started.Set(next.Level)
		r.Level.Set(next.Level)
		r.Log.Warn("the log's level is another now", "level", next.Level) // at a level that is shown
	}
	if files {
		r.Files.Move(next.Cert, next.Key)
	}
	if len(late) > 0 {
		r.Log.Warn("these settings have changed and are taken up at the next start only", "settings", late)
	}
}

func (r *Reloader) certificate() {
	if r.Files == nil {
		return
	}
	ends, err := r.Files.Again()
	if err != nil {
		r.Log.Error("the certificate stays the one that was loaded", "error", err)
		return
	}
	r.Log.Info("the certificate is read again", "ends", ends)
}

// differ returns the names of the settings that two configurations do not agree in, in order.
func differ(a, b any) ([]string, error) {
	x, err := asMap(a)
	if err != nil {
		return nil, err
	}
	y, err := asMap(b)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(x)
	maps.Copy(names, y)
	maps.DeleteFunc(names, func(name string, _ any) bool { return reflect.DeepEqual(x[name], y[name]) })
	return slices.Sorted(maps.Keys(names)), nil
}

func asMap(c any) (map[string]any, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "comparing configurations: %w", err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, errs.Newf(errs.Internal, "comparing configurations: %w", err)
	}
	return m, nil
}
