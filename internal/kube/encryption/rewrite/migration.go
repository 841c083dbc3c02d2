package rewrite

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// By says who has objects written.
type By string

const (
	// Auto is Migration where the cluster takes one on, and Ourselves elsewhere.
	Auto By = "auto"
	// Migration leaves it to a StorageVersionMigration.
	Migration By = "migration"
	// Ourselves asks for no StorageVersionMigration.
	Ourselves By = "ourselves"
)

// MigrationPrefix begins the names of StorageVersionMigrations, before RESOURCE.GROUP.
const MigrationPrefix = "strongkeep-rewrite-"

// migrationKind is in API servers from Kubernetes 1.37 on, as v1beta1 from 1.35. Who does
// it is a part of kube-controller-manager, so that one may be there and nobody do it.
var migrationKind = schema.GroupVersionResource{Group: "storagemigration.k8s.io", Resource: "storageversionmigrations"}

// migrationPatience is how long the cluster has to take a migration on.
const migrationPatience = 30 * time.Second

// migrationLongest is how long one may run where it is for us to choose: it tells no progress, and the
// cluster's controller can be at it without end.
const migrationLongest = 10 * time.Minute

// migration is what is written and read of a StorageVersionMigration.
type migration struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string    `json:"name"`
		UID  types.UID `json:"uid,omitempty"`
	} `json:"metadata"`
	Spec struct {
		Resource metav1.GroupResource `json:"resource"`
	} `json:"spec"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions,omitempty"`
	} `json:"status,omitzero"`
}

// state is running, succeeded or failed, or "" for one that nobody has taken on.
func (m *migration) state() string {
	for _, one := range []string{"Succeeded", "Failed", "Running"} { // the end has Running too
		if meta.IsStatusConditionTrue(m.Status.Conditions, one) {
			return one
		}
	}
	return ""
}

// migrations is where the API server has them, nil if it has none that is known.
func (a *api) migrations() (*target, error) {
	found, err := a.mapper.ResourceFor(migrationKind)
	switch {
	case meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, explain(err, "asking for StorageVersionMigrations")
	case !slices.Contains([]string{"v1", "v1beta1"}, found.Version):
		return nil, nil
	}
	return &target{found, migrationKind.GroupResource().String()}, nil
}

// migration reads one, nil if it is not there.
func (a *api) migration(ctx context.Context, at *target, name string) (*migration, error) {
	raw, err := a.client.Get().AbsPath(at.path(&identity{Name: name})...).MaxRetries(0).Do(ctx).Raw()
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	m := &migration{}
	return m, decode(raw, m)
}

func (a *api) createMigration(ctx context.Context, at *target, name string, of *target) (*migration, error) {
	m := &migration{APIVersion: at.GroupVersion().String(), Kind: "StorageVersionMigration"}
	m.Metadata.Name = name
	m.Spec.Resource = metav1.GroupResource{Group: of.Group, Resource: of.Resource}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a StorageVersionMigration: %w", err)
	}
	raw, err := a.client.Post().AbsPath(at.path(nil)...).Param("fieldManager", Manager).Body(body).MaxRetries(0).Do(ctx).Raw()
	if err != nil {
		return nil, explain(err, "creating StorageVersionMigration "+name)
	}
	created := &migration{}
	return created, decode(raw, created)
}

// deleteMigration deletes that one, and none of that name that is another.
func (a *api) deleteMigration(ctx context.Context, at *target, m *migration) error {
	body, err := json.Marshal(metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(m.Metadata.UID))})
	if err != nil {
		return errs.Newf(errs.Internal, "encoding what to delete: %w", err)
	}
	err = a.client.Delete().AbsPath(at.path(&identity{Name: m.Metadata.Name})...).Body(body).MaxRetries(0).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return explain(err, "deleting StorageVersionMigration "+m.Metadata.Name)
	}
	return nil
}

// migrate leaves a resource to a StorageVersionMigration. done is false where it is for
// us to do; why says so to people, "" if nothing is to be said.
func (r *run) migrate(ctx context.Context, t *target) (done bool, why string, err error) {
	if r.By == Ourselves || r.By == Auto && r.note.Continue != "" {
		return false, "", nil
	}
	at, err := r.api.migrations()
	if err != nil {
		return false, "", err
	}
	if at == nil {
		return false, "", r.only(errs.Unsupported, "the API server has no StorageVersionMigrations")
	}
	missing, err := r.api.missing(ctx, rightsOf("", at.GroupResource(), "get", "create", "delete"))
	if err != nil {
		return false, "", err
	}
	if missing != "" {
		return false, missing + " is missing", r.only(errs.Denied, missing+" is missing")
	}
	m, err := r.adopt(ctx, at, t)
	if err != nil {
		return false, "", err
	}
	end, err := r.follow(ctx, at, m, t)
	if err != nil {
		return false, "", err
	}
	r.step("before a migration is deleted")
	if err := r.api.deleteMigration(ctx, at, m); err != nil {
		return false, "", err
	}
	r.note.Migration = ""
	if end != "Succeeded" {
		return false, end, r.only(errs.Unavailable, end)
	}
	return true, "", r.count(ctx, t)
}

// only is the error where nothing but a migration is wanted.
func (r *run) only(kind errs.Kind, why string) error {
	if r.By != Migration {
		return nil
	}
	return errs.Newf(kind, "leaving it to a StorageVersionMigration: %s: -by=ourselves does without, and names objects that are refused", why)
}

// adopt is the migration that the note knows, or a new one. One that is there and not
// noted may have begun under another key.
func (r *run) adopt(ctx context.Context, at, t *target) (*migration, error) {
	name := MigrationPrefix + t.GroupResource().String()
	m, err := r.api.migration(ctx, at, name)
	if err != nil {
		return nil, explain(err, "reading StorageVersionMigration "+name)
	}
	if m != nil && m.Metadata.UID == r.note.Migration {
		return m, nil
	}
	if m != nil {
		if err := r.api.deleteMigration(ctx, at, m); err != nil {
			return nil, err
		}
	}
	if m, err = r.api.createMigration(ctx, at, name, t); err != nil {
		return nil, err
	}
	r.step("before a migration is noted")
	r.note.Migration = m.Metadata.UID
	return m, r.api.writeNote(ctx, r.Namespace, &r.note)
}

// follow waits for the end of a migration: Succeeded, or why it is for us to do. Its
// message may quote an object, so that it is not taken.
func (r *run) follow(ctx context.Context, at *target, m *migration, t *target) (string, error) {
	began := r.Now()
	for failed := 0; ; {
		now, err := r.api.migration(ctx, at, m.Metadata.Name)
		took := r.Now().Sub(began)
		switch {
		case err == nil:
			failed = 0
			if end := m.end(now, took >= r.migrationPatience); end != "" {
				return end, nil
			}
			if r.By == Auto && took >= r.migrationLongest {
				return "StorageVersionMigration " + m.Metadata.Name + " runs since " + r.migrationLongest.String() + " without an end", nil
			}
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !passing(err) || failed == tries:
			return "", explain(err, "reading StorageVersionMigration "+m.Metadata.Name)
		default:
			failed++
		}
		r.Progress(Progress{Resource: t.name, Done: r.note.Done, Total: r.note.Total, Migrating: max(took, 1)})
		if err := pause(ctx, time.Second); err != nil {
			return "", err
		}
	}
}

// end is how m has ended, by what is there now: Succeeded, or why it is for us to do; ""
// while it goes on. late says that somebody should have taken it on.
func (m *migration) end(now *migration, late bool) string {
	if now == nil || now.Metadata.UID != m.Metadata.UID {
		return "somebody has deleted StorageVersionMigration " + m.Metadata.Name
	}
	switch state := now.state(); {
	case state == "Succeeded":
		return state
	case state == "Failed":
		return "StorageVersionMigration " + m.Metadata.Name + " has failed"
	case state == "" && late:
		return "no controller of the cluster has taken on StorageVersionMigration " + m.Metadata.Name
	}
	return ""
}

// count adds the objects that there are after a migration.
func (r *run) count(ctx context.Context, t *target) error {
	p, err := r.api.list(ctx, t, 1, "")
	if err != nil {
		return explain(err, "counting "+t.name)
	}
	n := len(p.Items) + int(p.Metadata.Remaining)
	r.note.add(Counts{Done: n, Migrated: n})
	r.note.Total += n
	return nil
}
