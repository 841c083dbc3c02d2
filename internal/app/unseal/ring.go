package unseal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Ring holds the unseal keys of a running server, and tells how they do as a prometheus.Collector.
// Gate is set before Reload, Try, Tend and Collect; then all methods may be called at the same time.
type Ring struct {
	Read   func() (Keys, error)            // what the configuration says now
	Usable func(ctx context.Context) error // nil when the store may be opened; Tend waits for it
	Gate   *gate.Gate
	Log    *slog.Logger

	mu     sync.Mutex                     // held while keys are opened and handed over, so that the newest configuration wins
	keys   Keys                           // the configuration in force
	said   string                         // why the vault was last said to stay sealed
	broken atomic.Pointer[[]Unusable]     // those that could not be opened
	opened atomic.Pointer[[]seal.Wrapper] // the others
}

// Open opens the keys, and logs those that cannot be opened: Tend tries them again.
func (r *Ring) Open() ([]seal.Wrapper, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, broken, err := r.read()
	if err == nil {
		r.take(broken)
	}
	return all, err
}

// read opens what the configuration says now, which is in force if it is not wrong. The caller holds mu.
func (r *Ring) read() ([]seal.Wrapper, []Unusable, error) {
	c, err := r.Read()
	if err != nil {
		return nil, nil, err
	}
	all, broken, err := open(c)
	if err == nil {
		r.keys = c
		if len(all) > 0 {
			r.opened.Store(&all)
		}
	}
	return all, broken, err
}

// Opens opens the vault in another store by these keys, a copy of the running one, to see that they do,
// and closes it again. false: there are no keys.
func (r *Ring) Opens(ctx context.Context, copied store.Store) (bool, error) {
	all := r.opened.Load()
	if all == nil {
		return false, nil
	}
	b := seal.New(seal.Config{Store: copied, Wrappers: *all})
	if err := b.AutoUnseal(ctx); err != nil {
		return false, errors.Join(err, b.Close())
	}
	return true, b.Close()
}

// take notes which keys are out of order. The caller holds mu.
func (r *Ring) take(broken []Unusable) {
	for _, b := range broken {
		r.Log.Error("an unseal key of the configuration cannot be opened and is left out", "name", b.Name, "error", b.Err)
	}
	r.broken.Store(&broken)
}

// Broken is why keys cannot be opened; nil if all can.
func (r *Ring) Broken() error { return together(r.unusable()) }

func (r *Ring) unusable() []Unusable {
	if broken := r.broken.Load(); broken != nil {
		return *broken
	}
	return nil
}

// Reload reads the configuration again: new keys open the vault too from the next look at them on.
// If that cannot be done, or none of the keys can be opened, those that are there stay.
func (r *Ring) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, broken, err := r.read()
	if err != nil {
		return err
	}
	r.take(broken)
	if len(all) == 0 && len(broken) > 0 {
		return together(broken)
	}
	r.Gate.Barrier().SetWrappers(all)
	return nil
}

var (
	worksDesc  = prometheus.NewDesc("strongkeep_seal_works", "1 if the unseal key opens the vault from this node, when it was last tried: each hour.", []string{"name"}, nil)
	workedDesc = prometheus.NewDesc("strongkeep_seal_last_worked_timestamp_seconds", "When what opens the vault last opened something, on any node.", []string{"name"}, nil)
)

// Describe implements prometheus.Collector.
func (r *Ring) Describe(out chan<- *prometheus.Desc) {
	out <- worksDesc
	out <- workedDesc
}

// Collect implements prometheus.Collector. It tells of an open vault's: a sealed one tries none.
func (r *Ring) Collect(out chan<- prometheus.Metric) {
	if !r.Gate.Open() {
		return
	}
	all, err := r.Gate.Barrier().Seals(context.Background()) // of an open vault: from memory
	if err != nil {
		all = nil
	}
	works, worked := r.told(all)
	for desc, values := range map[*prometheus.Desc]map[string]float64{worksDesc: works, workedDesc: worked} {
		for name, v := range values {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, name)
		}
	}
}

// told are the values of both metrics by name, of which a vault may have two: the first counts.
func (r *Ring) told(all []seal.Info) (works, worked map[string]float64) {
	works, worked = map[string]float64{}, map[string]float64{}
	for _, b := range r.unusable() {
		works[b.Name] = 0
	}
	for _, i := range all {
		if _, told := works[i.Name]; !told && i.Configured && !i.Health.Tried.IsZero() {
			works[i.Name] = 0
			if i.Works() {
				works[i.Name] = 1
			}
		}
		if _, told := worked[i.Name]; !told && !i.Worked.IsZero() {
			worked[i.Name] = float64(i.Worked.Unix())
		}
	}
	return works, worked
}
