package kubesync

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// Bounds: how many times the bare client's time.
const (
	boundFew  = 2.0 // of a thousand
	boundMany = 2.5 // of ten thousand
	boundMB   = 150.0
)

const (
	few     = 1_000
	tenfold = 10_000
)

// Sync1000 measures a thousand ExternalSecrets twice: those that are there when the
// operator's process starts, from that moment; and those that are created while it
// runs, from the first create, against the bare client creating them too.
func Sync1000(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	w, err := newWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.prepare(ctx, few); err != nil {
		return nil, err
	}
	before, err := w.bare(ctx, few)
	if err != nil {
		return nil, err
	}
	took, err := w.syncThere(ctx, few)
	if err != nil {
		return nil, err
	}
	created, err := w.sync(ctx, "late-", few, func() error { return w.create(ctx, few, many("late-")) })
	if err != nil {
		return nil, err
	}
	b.Say("  %d ExternalSecrets created, and all Ready: %.2f s", few, created.Seconds())
	if err := w.verify(ctx, "late-", few, stored); err != nil {
		return nil, err
	}
	w.stopOperator()
	after, err := w.bare(ctx, few)
	if err != nil {
		return nil, err
	}
	mean := before.plus(after)
	return []figure.Figure{
		figure.AtMost(boundFew, "sync-1000", took.Seconds(), "s", mean.write.Seconds()),
		figure.AtMost(boundFew, "sync-1000-created", created.Seconds(), "s", (mean.objects + mean.write).Seconds()),
	}, nil
}

// Sync10000 measures ten thousand that are there when the operator starts, the
// most memory that its process held, and what it uses of the processor when they
// are all Ready, with the default refresh interval.
func Sync10000(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	w, err := newWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.prepare(ctx, tenfold); err != nil {
		return nil, err
	}
	before, err := w.bare(ctx, tenfold)
	if err != nil {
		return nil, err
	}
	took, err := w.syncThere(ctx, tenfold)
	if err != nil {
		return nil, err
	}
	m, err := rig.MemoryOf(w.operator.PID())
	if err != nil {
		return nil, err
	}
	b.Say("  the operator holds %.0f MB, of which %.0f MB are pages of its program; %.0f MB were the most", m.Resident, m.File, m.Peak)
	idle, err := w.idle(ctx)
	if err != nil {
		return nil, err
	}
	b.Say("  idle it uses %.4f cores", idle)
	w.stopOperator()
	after, err := w.bare(ctx, tenfold)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.AtMost(boundMany, "sync-10000", took.Seconds(), "s", before.plus(after).write.Seconds()),
		figure.Within(boundMB, "sync-10000-rss", m.Peak, "MB"),
		figure.Within(boundCPU, "idle-10000-cpu", idle, "cores"),
	}, nil
}

// prepare stores n secrets, and lets the API server warm up.
func (w *world) prepare(ctx context.Context, n int) error {
	if err := w.store(ctx, n); err != nil {
		return err
	}
	_, err := w.bare(ctx, 200)
	return err
}

// syncThere measures from before the start of the operator until n ExternalSecrets,
// which were there before, are Ready.
func (w *world) syncThere(ctx context.Context, n int) (time.Duration, error) {
	if err := w.create(ctx, n, many("app-")); err != nil {
		return 0, err
	}
	vault, cluster := rig.CPUTime(w.server.Process.PID()), w.clusterTime()
	took, err := w.sync(ctx, "app-", n, w.startOperator)
	if err != nil {
		return 0, err
	}
	w.rig.Say("  %d ExternalSecrets Ready %.2f s after the operator's start; of CPU it used %.2f s, the vault %.2f s, the cluster %.2f s", n, took.Seconds(),
		rig.CPUTime(w.operator.PID()).Seconds(), (rig.CPUTime(w.server.Process.PID()) - vault).Seconds(), (w.clusterTime() - cluster).Seconds())
	return took, w.verify(ctx, "app-", n, stored)
}
