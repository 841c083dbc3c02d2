package kv

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	v1 "github.com/strongkeep/strongkeep/internal/vault/engine/kv/v1"
	v2 "github.com/strongkeep/strongkeep/internal/vault/engine/kv/v2"
)

// §2.5 "types kv-v1/kv-v2 are aliases": the option decides, and 1 is the default.
func TestNew(t *testing.T) {
	for version, want := range map[string]engine.Engine{"": &v1.Engine{}, "1": &v1.Engine{}, "2": &v2.Engine{}} {
		h := enginetest.New(t, New, enginetest.WithOptions(map[string]string{"version": version}))
		_, is1 := h.Engine.(*v1.Engine)
		_, want1 := want.(*v1.Engine)
		if is1 != want1 {
			t.Errorf("version %q is a %T, want %T", version, h.Engine, want)
		}
	}
	for _, version := range []string{"0", "3", "v2", "2 "} {
		_, err := New(engine.Config{Options: map[string]string{"version": version}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "versions 1 and 2") {
			t.Errorf("version %q: %v, want Invalid", version, err)
		}
	}
	if _, err := New(engine.Config{}); err != nil {
		t.Errorf("no options at all: %v", err)
	}
}
