package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Every Rotation in examples/rotation is one that the operator takes: each field
// is known, and its kind of target opens.
func TestExampleRotations(t *testing.T) {
	files, err := filepath.Glob("../../examples/rotation/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	opened := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(raw), "\n---\n") {
			if !strings.Contains(document, "kind: Rotation\n") {
				continue
			}
			var rot v1alpha1.Rotation
			if err := yaml.UnmarshalStrict([]byte(document), &rot); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			for name, set := range map[string]bool{"database": rot.Spec.Target.Database != nil, "kv": rot.Spec.Target.KV != nil, "manual": rot.Spec.Target.Manual != nil,
				"awsAccessKey": rot.Spec.Target.AWSAccessKey != nil, "webhook": rot.Spec.Target.Webhook != nil, "certificate": rot.Spec.Target.Certificate != nil} {
				if !set {
					continue
				}
				opened[name] = true
				if _, err := targets(nil)[name].Open(target.Config{Spec: rot.Spec.Target, Rotation: rot.Namespace + "/" + rot.Name}); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
	for _, name := range []string{"awsAccessKey", "certificate", "database", "kv", "manual", "webhook"} {
		if !opened[name] {
			t.Errorf("no example of %s", name)
		}
	}
}
