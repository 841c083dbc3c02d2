package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster/build"
)

// asked is set by `make migrate`: building the original takes minutes and gigabytes.
const asked = "STRONGKEEP_ORIGINAL"

// patience bounds every wait; one that succeeds takes seconds. often is how often is
// looked.
const (
	patience = 5 * time.Minute
	often    = 50 * time.Millisecond
)

var (
	server   *apiserver.Server
	original string // the program
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(asked) == "" {
		fmt.Fprintln(os.Stderr, "SKIPPED: taking over from the original itself, whose program takes minutes to build: make migrate runs it")
		return 0
	}
	programs, err := build.Ensure(context.Background(), build.Original, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	original = programs["external-secrets"]
	definitions, err := theirDefinitions()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return apiserver.Main(apiserver.Config{
		Bare: true, Foreign: definitions,
		Schemes: []func(*runtime.Scheme) error{v1.AddToScheme, v1alpha1.AddToScheme, generators.AddToScheme},
	}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	})
}

// theirDefinitions are those of the original's own source.
func theirDefinitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	dir, err := build.Source(context.Background(), build.Original)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "config", "crds", "bases", "*.external-secrets.io_*.yaml"))
	more, moreErr := filepath.Glob(filepath.Join(dir, "config", "crds", "bases", "external-secrets.io_*.yaml"))
	if err = errors.Join(err, moreErr); err != nil {
		return nil, err
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, file := range append(files, more...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(raw, crd); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if !strings.HasSuffix(crd.Spec.Group, v1.Group) {
			return nil, fmt.Errorf("%s defines %s", file, crd.Spec.Group)
		}
		out = append(out, crd)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no definitions", dir)
	}
	return out, nil
}
