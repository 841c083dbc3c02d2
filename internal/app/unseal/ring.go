package unseal

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

// Ring holds the unseal keys of a running server, and tells how they do as a prometheus.Collector.
// Gate is set before Reload and Collect; then all methods may be called at the same time.
type Ring struct {
	Read func() (Keys, error) // what the configuration says now
	Gate *gate.Gate
	Log  *slog.Logger

	broken atomic.Pointer[[]Unusable] // those that could not be opened
}

// Open opens the keys, and logs those of several that cannot be opened.
func (r *Ring) Open() ([]seal.Wrapper, error) {
	c, err := r.Read()
	if err != nil {
		return nil, err
	}
	all, broken, err := Open(c)
	if err != nil {
		return nil, err
	}
	for _, b := range broken {
		r.Log.Error("an unseal key of the configuration cannot be opened and is left out", "name", b.Name, "error", b.Err)
	}
	r.broken.Store(&broken)
	return all, nil
}

// Reload reads the configuration again: new keys open the vault too from the next look at them on.
// If that cannot be done everything stays as it is.
func (r *Ring) Reload() error {
	all, err := r.Open()
	if err != nil {
		return err
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
	if broken := r.broken.Load(); broken != nil {
		for _, b := range *broken {
			works[b.Name] = 0
		}
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
