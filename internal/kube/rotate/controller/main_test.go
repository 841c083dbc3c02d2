package controller

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// testClient reaches one real API server, without a cache: what is tested here
// is what is written when, and whether that is refused when it must be.
var testClient client.WithWatch

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Schemes: []func(*runtime.Scheme) error{v1alpha1.AddToScheme}}, func(s *apiserver.Server) (int, error) {
		testClient = s.Client
		return m.Run(), nil
	}))
}
