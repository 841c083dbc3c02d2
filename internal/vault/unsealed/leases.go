package unsealed

import (
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

func (v *Vault) newLeases() *lease.Manager {
	return lease.NewManager(lease.ManagerConfig{
		Store: v.Store, Alive: v.tokenAlive,
		Owner: func(id string) (lease.Owner, bool) {
			m := v.Mounts.Table().ByID(id)
			if m == nil {
				return lease.Owner{}, false
			}
			leaser, ok := m.Engine.(engine.Leaser)
			return v.LeaseOwner(m, leaser), ok
		},
		Hold: v.hold, Ended: func(l *lease.Record) { v.Quotas.Ended(v.LeaseTarget(l)) },
		Wake: func(kind string) {
			if v.expirer != nil { // there is none while a new vault is set up
				v.expirer.Wake(kind)
			}
		},
		Shared: v.cfg.MaxSilence > 0, Now: v.cfg.Now, Random: v.cfg.Random, Log: v.cfg.Log,
	})
}

// LeaseOwner is a mount as its leases know it. Where neither role nor mount says
// how long one lives, it is not as long as all else.
func (v *Vault) LeaseOwner(m *mount.Mount, leaser engine.Leaser) lease.Owner {
	o := lease.Owner{ID: m.ID, Path: m.Path, Storage: m.Storage(), TTLs: m.TTLs, Leaser: leaser}
	if v.cfg.LeaseTTL > 0 && m.Config.DefaultTTL == 0 {
		o.TTLs.Default = min(v.cfg.LeaseTTL, o.TTLs.Max)
	}
	return o
}

// syncWork starts what runs for each mount: its Worker, and the end of its leases.
func (v *Vault) syncWork() {
	table := v.Mounts.Table()
	v.workers.Sync(v.lifetime, table.All())
	for _, m := range table.All() {
		if _, ok := m.Engine.(engine.Leaser); ok {
			v.expirer.Add(v.Leases.Kind(m.ID))
		}
	}
}

// endWork stops it for one mount, and waits.
func (v *Vault) endWork(m *mount.Mount) {
	v.workers.End(m.ID)
	if v.expirer != nil {
		v.expirer.Remove(v.Leases.Kind(m.ID).Name)
	}
}

// LeaseStats tells what was done with leases since the unseal, and how many
// cannot be ended; false: they could not be counted.
func (v *Vault) LeaseStats() (lease.Stats, bool) {
	s := v.Leases.Stats()
	for _, m := range v.Mounts.Table().All() {
		if _, ok := m.Engine.(engine.Leaser); ok {
			n, err := v.Leases.CountIrrevocable(v.lifetime, v.Store, m.ID)
			if err != nil {
				return s, false
			}
			s.Irrevocable += n
		}
	}
	return s, true
}
