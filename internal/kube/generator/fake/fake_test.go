package fake_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/generator/fake"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
)

func TestSuite(t *testing.T) {
	generatortest.Run(t, generatortest.Subject{
		Kind: fake.Kind{}, Spec: `{"controller":"x","data":{"a":"1","b":"2"}}`, Keys: []string{"a", "b"}, Same: true,
	})
}
