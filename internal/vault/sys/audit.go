package sys

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func (e *Engine) auditRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "audit", Sudo: true, ReadOnly: true, Summary: "List the enabled audit devices.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.listDevices},
		},
		{
			Pattern: "audit/{path}", Sudo: true, Summary: "Enable or disable an audit device.",
			Fields: []engine.Field{
				{Name: "path", Type: engine.String, Help: "the device's name"},
				{Name: "type", Type: engine.String, Help: "file, stdout, syslog or socket"},
				{Name: "description", Type: engine.String, Help: "shown in listings"},
				{Name: "options", Type: engine.Map, Help: "options of the type, for example file_path"},
				{Name: "local", Type: engine.Bool, Help: "accepted and shown; there is no replication"},
			},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.enableDevice, engine.Delete: e.disableDevice},
		},
		{
			Pattern: "audit/{path}/checkpoint", ReadOnly: true,
			Summary:  "The last signed checkpoint of an audit device's lines, to be kept elsewhere and compared with.",
			Fields:   []engine.Field{{Name: "path", Type: engine.String, Help: "the device's name"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.checkpoint},
		},
		{
			Pattern: "audit-hash/{path}", Summary: "What a value looks like in the lines of one device, to search for it.",
			Fields:   []engine.Field{{Name: "input", Type: engine.String, Help: "the value", Secret: true}},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.auditHash},
		},
	}
}

func (e *Engine) listDevices(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	all, err := devices.All(ctx, tx)
	if err != nil {
		return nil, err
	}
	listing := make(map[string]any, len(all))
	for path, d := range all {
		shown := map[string]any{
			"type": d.Type, "description": d.Description, "options": d.Options, "path": path, "local": d.Local,
		}
		if p, err := e.cfg.Audit.Proof(path); err == nil && p.Key != "" {
			shown["checkpoint_key"] = p.Key
		}
		listing[path] = shown
	}
	return respond(listing, true)
}

// enableDevice tries the device before it stores it: a device that cannot be
// written would refuse every request afterwards. The gate enables what is
// stored once the request has committed.
func (e *Engine) enableDevice(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	path, err := devices.CleanPath(req.Params["path"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	device := devices.Device{
		Spec:        audit.Spec{Path: path, Type: d.String("type", ""), Options: d.StringMap("options"), Enabled: req.Time.UTC()},
		Description: d.String("description", ""),
		Local:       d.Bool("local", false),
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if device.Type == "" {
		return nil, errs.New(errs.Invalid, "missing type: say which audit device to enable, for example type=file")
	}
	if err := device.NewKey(e.cfg.Random); err != nil {
		return nil, err
	}
	if err := devices.Add(ctx, tx, device); err != nil {
		return nil, err
	}
	return nil, e.cfg.Audit.Probe(device.Spec)
}

// checkpoint shows nothing secret, but whoever may read it learns how much is
// asked of the vault; policy decides.
func (e *Engine) checkpoint(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	path, err := devices.CleanPath(req.Params["path"])
	if err != nil {
		return nil, err
	}
	p, err := e.cfg.Audit.Proof(path)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil, err
	case err != nil:
		return nil, errs.As(errs.Invalid, err)
	case p.Note == "":
		return nil, errs.New(errs.Unavailable, "nothing is signed yet; the first line of the device will be")
	}
	return respond(map[string]any{
		"key": p.Key, "note": p.Note, "size": p.Size, "time": p.Time.UTC().Format(time.RFC3339Nano),
	}, false)
}

func (e *Engine) disableDevice(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	path, err := devices.CleanPath(req.Params["path"])
	if err != nil {
		return nil, err
	}
	devices.Remove(tx, path)
	return nil, nil
}

func (e *Engine) auditHash(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	path, err := devices.CleanPath(req.Params["path"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	input := d.String("input", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if input == "" {
		return nil, errs.New(errs.Invalid, "the \"input\" parameter is empty")
	}
	hash, err := e.cfg.Audit.Hash(path, input)
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"hash": hash}, true)
}
