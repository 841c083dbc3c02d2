package database_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/database"
)

// answer is a vault that answers everything so.
type answer string

func (a answer) Call(context.Context, string, string, any) (json.RawMessage, error) {
	return json.RawMessage(a), nil
}
func (answer) Locate(path string) string { return path }

// With two passwords of one user the engine lists every session as new
// (docs/engines/database.md): that shows of nobody that it has left the old one.
func TestSessionsOfOneUserProveNothing(t *testing.T) {
	const partial = "the database does not tell which of them"
	for name, tc := range map[string]struct {
		answer   answer
		new, old int
	}{
		"one user":  {`{"new":{"user":"app","sessions":[{"address":"10.0.0.1"}]},"old":{"user":"app","sessions":[]},"partial":"` + partial + `"}`, 0, 0},
		"two users": {`{"new":{"user":"b","sessions":[{"address":"10.0.0.1"}]},"old":{"user":"a","sessions":[{"address":"10.0.0.2"}]},"partial":"` + partial + `"}`, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			to, err := database.Kind{}.Open(target.Config{Spec: v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{Role: "app"}}, Vault: tc.answer})
			if err != nil {
				t.Fatal(err)
			}
			seen, err := to.(target.Witness).Sessions(t.Context(), target.Turn{Number: 2, Rotation: "team/r"})
			if err != nil || len(seen.New) != tc.new || len(seen.Old) != tc.old || seen.Partial != partial {
				t.Errorf("%+v, %v", seen, err)
			}
		})
	}
}
