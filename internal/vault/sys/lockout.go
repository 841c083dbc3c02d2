package sys

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// lockoutRoutes show and free users who failed to log in too often.
func (e *Engine) lockoutRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "locked-users", Summary: "Users who are locked out for wrong passwords.",
			Help:     "By auth mount; each is free again when its lockout_duration is over.",
			Fields:   []engine.Field{{Name: "mount_accessor", Type: engine.String, Help: "show only those of this auth mount"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.lockedUsers},
		},
		{
			Pattern: "locked-users/{accessor}/unlock/{alias}", Summary: "Let a locked user try again.",
			Help:     "The failures that were counted are forgotten. A user who is not locked is no error.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.unlockUser},
		},
	}
}

func (e *Engine) lockedUsers(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	only := d.String("mount_accessor", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	total := 0
	mounts := []any{}
	for _, m := range e.cfg.Mounts.Table().In(req.Namespace) {
		locker, ok := m.Engine.(engine.Locker)
		if !ok || only != "" && m.Accessor != only {
			continue
		}
		aliases, err := locker.Locked(ctx, mount.Confine(tx, m.Storage()))
		if err != nil {
			return nil, err
		}
		if len(aliases) == 0 {
			continue
		}
		total += len(aliases)
		mounts = append(mounts, map[string]any{"mount_accessor": m.Accessor, "counts": len(aliases), "alias_identifiers": aliases})
	}
	spaces := []any{}
	if total > 0 {
		spaces = append(spaces, map[string]any{"namespace_id": req.Namespace.ID, "namespace_path": req.Namespace.Path, "counts": total, "mount_accessors": mounts})
	}
	return respond(map[string]any{"total": total, "by_namespace": spaces}, false)
}

func (e *Engine) unlockUser(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	for _, m := range e.cfg.Mounts.Table().In(req.Namespace) {
		if m.Accessor != req.Params["accessor"] {
			continue
		}
		if locker, ok := m.Engine.(engine.Locker); ok {
			return nil, locker.Unlock(ctx, mount.Confine(tx, m.Storage()), req.Params["alias"])
		}
	}
	return nil, errs.New(errs.Invalid, "there is no auth mount with this accessor that locks users out")
}

// lockoutField reads user_lockout_config. Fields that are absent stay as they are.
func lockoutField(d *engine.Decoder, now *engine.Lockout) (*engine.Lockout, error) {
	raw := d.ObjectOrText("user_lockout_config")
	if raw == nil {
		return now, d.Err()
	}
	body, err := engine.ParseBody(raw)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "field user_lockout_config: %w", err)
	}
	l := engine.DefaultLockout()
	if now != nil {
		l = *now
	}
	inner := body.Decode()
	threshold := inner.Int("lockout_threshold", int64(l.Threshold))
	l.Duration = inner.Duration("lockout_duration", l.Duration)
	l.Reset = inner.Duration("lockout_counter_reset_duration", l.Reset)
	l.Disabled = inner.Bool("lockout_disable", l.Disabled)
	switch {
	case inner.Err() != nil:
		return nil, errs.Newf(errs.Invalid, "field user_lockout_config: %w", inner.Err())
	case threshold < 1 || threshold > 1_000_000:
		return nil, errs.New(errs.Invalid, "lockout_threshold must be between 1 and 1000000; set lockout_disable to lock nobody out")
	case l.Duration < time.Second || l.Reset < time.Second:
		return nil, errs.New(errs.Invalid, "lockout_duration and lockout_counter_reset_duration must be at least a second")
	}
	l.Threshold = int(threshold)
	return &l, nil
}

func showLockout(l *engine.Lockout) map[string]any {
	return map[string]any{
		"lockout_threshold": l.Threshold, "lockout_duration": int64(l.Duration.Seconds()),
		"lockout_counter_reset_duration": int64(l.Reset.Seconds()), "lockout_disable": l.Disabled,
	}
}
