package uuid_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	kind "github.com/strongkeep/strongkeep/internal/kube/generator/uuid"
)

func TestSuite(t *testing.T) {
	generatortest.Run(t, generatortest.Subject{Kind: kind.Kind{}, Spec: `{}`, Keys: []string{"uuid"}})
}

func TestRandom(t *testing.T) {
	made, err := kind.Kind{}.Generate(t.Context(), generatortest.Config(nil, ""))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := uuid.Parse(made.Data["uuid"].RevealString()); err != nil || id.Version() != 4 {
		t.Errorf("version %d (%v): others can be guessed", id.Version(), err)
	}
}
