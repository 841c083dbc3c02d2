package target_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/test/chaos/target"
)

// What came last counts, and what was never made is ended without an error.
func TestTarget(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := target.Serve(l)
	defer s.Close()
	ask := func(method, name string) {
		t.Helper()
		if err := target.Ask(t.Context(), l.Addr().String(), method, name); err != nil {
			t.Fatal(err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, step := range []struct {
		method, name string
		live         string // of those that begin with a; "" = none
	}{
		{http.MethodPut, "a1", "a1"},
		{http.MethodPut, "b1", "a1"},
		{http.MethodDelete, "a1", ""},
		{http.MethodDelete, "a2", ""},
		{http.MethodPut, "a2", "a2"}, // late, as of a node that was stopped before it asked
		{http.MethodDelete, "a2", ""},
	} {
		ask(step.method, step.name)
		err := s.AwaitEnd(over, "a")
		if step.live == "" && err != nil || step.live != "" && (err == nil || !strings.Contains(err.Error(), step.live)) {
			t.Errorf("%s %s: %v", step.method, step.name, err)
		}
	}
	if all := s.Accounts("a"); len(all) != 2 || len(all["a2"].Made) != 1 || len(all["a2"].Ended) != 2 {
		t.Error(all)
	}
	if err := target.Ask(t.Context(), l.Addr().String(), http.MethodGet, "a1"); err == nil {
		t.Error("it takes what it does not know")
	}
}
