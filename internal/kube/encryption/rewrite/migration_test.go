package rewrite

import (
	"context"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	storagev1beta1 "k8s.io/api/storagemigration/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// controller does what kube-controller-manager does with the migration of Secrets, as
// far as a test wants it, and returns when it is done. TestRewriteAndVerify in
// test/encryption has the real one.
func controller(ctx context.Context, conditions ...string) error {
	api := set.StoragemigrationV1beta1().StorageVersionMigrations()
	return wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		m, err := api.Get(ctx, MigrationPrefix+"secrets", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, one := range conditions {
			meta.SetStatusCondition(&m.Status.Conditions, metav1.Condition{Type: one, Status: metav1.ConditionTrue, Reason: "Test", Message: canary})
		}
		_, err = api.UpdateStatus(ctx, m, metav1.UpdateOptions{})
		return true, err
	})
}

func noMigration(t *testing.T) {
	t.Helper()
	list, err := set.StoragemigrationV1beta1().StorageVersionMigrations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("a migration is left: %v, %v", list, err)
	}
}

// A migration that somebody does is waited for; of one that nobody takes on, that fails
// or that is deleted the objects are rewritten by us, or it is said, where only a
// migration is wanted.
func TestMigration(t *testing.T) {
	clear(t, "migration", 30)
	deleted := func(ctx context.Context) error {
		if err := controller(ctx, "Running"); err != nil {
			return err
		}
		return set.StoragemigrationV1beta1().StorageVersionMigrations().Delete(ctx, MigrationPrefix+"secrets", metav1.DeleteOptions{})
	}
	ends := func(conditions ...string) func(context.Context) error {
		return func(ctx context.Context) error { return controller(ctx, conditions...) }
	}
	for _, c := range []struct {
		name     string
		meddle   func(context.Context) error
		patience time.Duration // for somebody to take it on
		migrated bool
		why      string
	}{
		{"done", ends("Running", "Succeeded"), time.Minute, true, ""},
		{"failed", ends("Running", "Failed"), time.Minute, false, "has failed"},
		{"deleted", deleted, time.Minute, false, "somebody has deleted"},
		{"not taken on", func(context.Context) error { return nil }, 2 * time.Second, false, "no controller"},
		{"without end", ends("Running"), time.Minute, false, "without an end"},
	} {
		for _, by := range []By{Auto, Migration} {
			if by == Migration && c.name == "without end" {
				continue // what is asked for is waited for
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			meddled := make(chan error, 1)
			go func() { meddled <- c.meddle(ctx) }()
			seen := false
			r, err := Run(ctx, Config{REST: server.REST, By: by, Pace: Full, Resources: []string{"secrets"}, migrationPatience: c.patience, migrationLongest: 10 * time.Second, Progress: func(p Progress) {
				seen = seen || p.Migrating > 0
			}})
			if bad := <-meddled; bad != nil {
				t.Fatal(c.name, bad)
			}
			cancel()
			switch {
			case !c.migrated && by == Migration:
				if errs.KindOf(err) != errs.Unavailable || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), canary) {
					t.Errorf("%s: %v", c.name, err)
				}
			case err != nil:
				t.Errorf("%s, by %s: %v", c.name, by, err)
			case c.migrated:
				if r.Migrated < 30 || r.Done != r.Migrated || len(r.Notes) > 0 {
					t.Errorf("%s, by %s: %+v", c.name, by, r)
				}
			case !seen && c.why == "no controller":
				t.Error("nothing was told while nobody took it on")
			case r.Migrated > 0 || r.Written+r.Current < 30 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], c.why) || strings.Contains(r.Notes[0], canary):
				t.Errorf("%s: %+v", c.name, r)
			}
			noMigration(t)
		}
	}
	if inTheClear, _ := proven(t); inTheClear != 0 { // by those that were not migrated
		t.Errorf("%d are in the clear", inTheClear)
	}
}

// A migration that the note does not know may have begun under another key: it is not
// believed. One that the note knows is gone on with.
func TestMigrationFoundThere(t *testing.T) {
	clear(t, "found", 30)
	api := set.StoragemigrationV1beta1().StorageVersionMigrations()
	m := &storagev1beta1.StorageVersionMigration{ObjectMeta: metav1.ObjectMeta{Name: MigrationPrefix + "secrets"}}
	m.Spec.Resource = metav1.GroupResource{Resource: "secrets"}
	a, err := connect(server.REST)
	if err != nil {
		t.Fatal(err)
	}
	now, err := a.configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, noted := range []bool{false, true} {
		created, err := api.Create(t.Context(), m, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n := note{Resources: []string{"secrets"}, Configuration: now}
		if noted {
			n.Migration = created.UID
		}
		if err := a.writeNote(t.Context(), "kube-system", &n); err != nil {
			t.Fatal(err)
		}
		if err := controller(t.Context(), "Running", "Succeeded"); err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), Config{REST: server.REST, Pace: Full, Resources: []string{"secrets"}, migrationPatience: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Resumed || (r.Migrated >= 30) != noted || (r.Written >= 30) == noted {
			t.Errorf("noted %t: %+v", noted, r)
		}
		noMigration(t)
	}
}

// Where there are none, or the rights are missing, it is done without, or refused.
func TestNoMigrations(t *testing.T) {
	clear(t, "without", 5)
	as := user(t, "without-migrations", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: []string{"list", "get", "patch", "create", "delete"}})
	if r, err := Run(t.Context(), Config{REST: as, Pace: Full, Resources: []string{"secrets"}}); err != nil || r.Migrated > 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the right to get storageversionmigrations") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Run(t.Context(), Config{REST: as, By: Migration, Resources: []string{"secrets"}}); errs.KindOf(err) != errs.Denied {
		t.Error(err)
	}
	noMigration(t)
	if _, err := Run(t.Context(), Config{REST: server.REST, By: "cron", Resources: []string{"secrets"}}); errs.KindOf(err) != errs.Invalid {
		t.Error(err)
	}
	if _, err := Run(t.Context(), Config{REST: server.REST, Pace: "slow", Resources: []string{"secrets"}}); errs.KindOf(err) != errs.Invalid {
		t.Error(err)
	}
}
