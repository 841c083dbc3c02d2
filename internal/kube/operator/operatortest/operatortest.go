// Package operatortest runs whole operators in tests of packages beside the
// operator's own.
//
// Start reading at Start.
package operatortest

import (
	"context"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

// Start runs an operator until the test ends or stop is called, which waits for
// its end. It returns where the operator serves. cfg.Started is Start's own.
func Start(t testing.TB, cfg operator.Config) (at operator.Addresses, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started := make(chan operator.Addresses, 1)
	cfg.Started = func(a operator.Addresses) { started <- a }
	ended := make(chan error, 1)
	go func() { ended <- operator.Run(ctx, cfg) }()
	select {
	case at = <-started:
	case err := <-ended:
		cancel()
		t.Fatalf("the operator ended: %v", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return at, stop
}
