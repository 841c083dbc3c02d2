package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/atrest"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/insight"
	"github.com/strongkeep/strongkeep/test/bench/kms"
	"github.com/strongkeep/strongkeep/test/bench/kubesync"
	"github.com/strongkeep/strongkeep/test/bench/nodes"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/saving"
	"github.com/strongkeep/strongkeep/test/bench/turning"
)

// benchmark measures one thing. Run may return several figures of it; their
// names begin with the benchmark's.
type benchmark struct {
	name string
	run  func(context.Context, *rig.Rig) ([]figure.Figure, error)
}

// benchmarks are all there are, in the order they run.
func benchmarks() []benchmark {
	return slices.Concat(
		kv2Benchmarks(),
		loginBenchmarks(),
		identityBenchmarks(),
		transitBenchmarks(),
		pkiBenchmarks(),
		databaseBenchmarks(),
		startBenchmarks(),
		leaseBenchmarks(),
		[]benchmark{
			{"sync-1000", kubesync.Sync1000}, {"sync-10000", kubesync.Sync10000},
			{"change-1000", kubesync.Change}, {"idle-10000", kubesync.Idle},
			{"rotation-500", turning.Measure},
			{"insight", insight.Measure}, {"insight-operator", insight.Operator},
			{"kms", kms.Measure},
			{"encryption", atrest.Measure}, {"snapshot", saving.Measure},
			{"nodes", nodes.Measure}, {"nodes-start", nodes.Start},
		},
	)
}

// selected returns those benchmarks that only names: one by its whole name, or
// all whose names begin with it and a dash; all if only is empty.
func selected(all []benchmark, only string) ([]benchmark, error) {
	var chosen []benchmark
	var names []string
	for _, b := range all {
		names = append(names, b.name)
		if only == "" || b.name == only || strings.HasPrefix(b.name, only+"-") {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return nil, errs.Newf(errs.Invalid, "no benchmark is called %q; there are: %s", only, fmt.Sprint(strings.Join(names, ", ")))
	}
	return chosen, nil
}
