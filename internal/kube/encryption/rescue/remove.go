package rescue

import (
	"bytes"
	"context"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Gate is the API server's feature that deletes what it cannot read.
const Gate = "AllowUnsafeMalformedObjectDeletion"

// unsafeVerb is the right that it takes, beside delete.
const unsafeVerb = "unsafe-delete-ignore-read-errors"

// Removed is what became of objects that were to be deleted.
type Removed struct {
	Deleted []stored.Object `json:"deleted"`
	Left    []Left          `json:"left"`
}

// Left is an object that was not deleted.
type Left struct {
	stored.Object
	Why string `json:"why"`
}

// Remove has the first API server delete objects that Find has found and says are
// Deletable, after it was seen that etcd is that API server's, that cfg.Servers are all
// that live, and that all rights and the gate are there, and Copy has written copyPath.
// Right before each, etcd has to have the value that was found, the plugin has to say
// again that it does not open, and every API server that it does not read it: else it is
// left, with the reason. cfg is that of Find, From an *stored.Etcd.
//
// An error ends it; what was deleted until then is in the answer. Kinds: Invalid, Denied,
// Conflict (another etcd, or more API servers: nothing was deleted), Exist (copyPath),
// Unsupported (the gate is off: nothing was deleted), Unavailable.
func Remove(ctx context.Context, cfg Config, all []Finding, copyPath string) (*Removed, error) {
	etcd, ok := cfg.From.(*stored.Etcd)
	if !ok || cfg.Servers == nil {
		return nil, errs.New(errs.Invalid, "deletion takes the running etcd (-etcd) and an API server: nothing was deleted")
	}
	r := &remover{Config: cfg, etcd: etcd, server: cfg.Servers.all[0], done: &Removed{}}
	if err := r.whole(ctx); err != nil {
		return r.done, err
	}
	if err := r.allowed(ctx, all); err != nil {
		return r.done, err
	}
	if err := Copy(copyPath, all); err != nil {
		return r.done, err
	}
	for i := range all {
		why, err := r.one(ctx, &all[i])
		switch {
		case err != nil:
			return r.done, err
		case why == "":
			r.done.Deleted = append(r.done.Deleted, all[i].Object)
		default:
			r.done.Left = append(r.done.Left, Left{all[i].Object, why})
		}
	}
	return r.done, nil
}

type remover struct {
	Config
	etcd   *stored.Etcd
	server *server
	done   *Removed
}

// whole refuses an etcd that is not that of the API server that deletes, and API servers
// that are not all: one node's plugin, or file, may lack what the others read with.
func (r *remover) whole(ctx context.Context) error {
	to := rest.CopyConfig(r.Servers.rest)
	to.Host = r.server.url
	cfg := configure.Config{REST: to, Servers: r.Servers.urls(), TheseAreAll: r.TheseAreAll, Stored: r.etcd, EtcdPrefix: r.Prefix}
	err := configure.ProveEtcd(ctx, cfg)
	if err == nil {
		_, err = configure.Servers(ctx, cfg)
	}
	if err != nil && ctx.Err() == nil {
		return errs.Newf(errs.KindOf(err), "nothing was deleted: %w", err)
	}
	return err
}

// allowed asks for all rights, and for the gate.
func (r *remover) allowed(ctx context.Context, all []Finding) error {
	var seen []string
	for i := range all {
		if slices.Contains(seen, all[i].Resource) {
			continue
		}
		seen = append(seen, all[i].Resource)
		for _, verb := range []string{"delete", unsafeVerb} {
			if err := r.server.allowed(ctx, verb, schema.ParseGroupResource(all[i].Resource)); err != nil {
				return err
			}
		}
		if err := r.gated(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// gated refuses an API server without the gate: it would ignore the option, and delete
// what it can read. A dry run with a propagation policy tells, which is one then, and with
// the gate is invalid: from 1.37 on a dry run alone is not (ValidateIgnoreStoreReadError
// in k8s.io/apimachinery/pkg/apis/meta/v1/validation).
func (r *remover) gated(ctx context.Context, f *Finding) error {
	from, name, err := r.server.at(f.Object)
	if err != nil {
		return err
	}
	yes, policy := true, metav1.DeletePropagationBackground
	err = from.Delete(ctx, name, metav1.DeleteOptions{IgnoreStoreReadErrorWithClusterBreakingPotential: &yes, DryRun: []string{metav1.DryRunAll}, PropagationPolicy: &policy})
	switch {
	case apierrors.IsInvalid(err):
		return nil
	case err != nil && code(err) != http.StatusInternalServerError:
		return r.server.explain(err, "asking whether it deletes what it cannot read")
	}
	return errs.Newf(errs.Unsupported, "the API server at %s does not delete what it cannot read: start it with --feature-gates=%s=true (Kubernetes 1.32 and later; from 1.37 on it does by itself), and run this again", r.server.url, Gate)
}

// one deletes an object, or says why not.
func (r *remover) one(ctx context.Context, f *Finding) (why string, err error) {
	if why, err = r.changed(ctx, f); why != "" || err != nil {
		return why, err
	}
	if err := r.gated(ctx, f); err != nil {
		return "", err
	}
	from, name, err := r.server.at(f.Object)
	if err != nil {
		return "", err
	}
	yes := true
	err = from.Delete(ctx, name, metav1.DeleteOptions{IgnoreStoreReadErrorWithClusterBreakingPotential: &yes})
	switch {
	case apierrors.IsInvalid(err), apierrors.IsConflict(err): // the latter from 1.37 on
		return "the API server reads it now", nil
	case apierrors.IsNotFound(err):
		return "somebody else has deleted it", nil
	case err != nil:
		return "", r.server.explain(err, "deleting "+f.Resource+" "+f.Name)
	}
	return "", nil
}

// changed says why an object is not to be deleted any more.
func (r *remover) changed(ctx context.Context, f *Finding) (why string, err error) {
	content, revision, err := r.etcd.Get(ctx, string(f.key))
	switch {
	case err != nil:
		return "", err
	case revision == 0:
		return "it is not in etcd any more", nil
	case revision != f.Revision || !bytes.Equal(content, f.content):
		return "it was written meanwhile", nil
	}
	seen, err := r.Servers.see(ctx, f.Object)
	switch {
	case err != nil:
		return "", err
	case len(seen.readers) > 0:
		return "the API server at " + seen.readers[0] + " reads it", nil
	case len(seen.unclear) > 0:
		return "the API server at " + seen.unclear[0] + " does not say whether it reads it", nil
	}
	return r.opens(ctx, f), nil
}

// opens says why an object may not be lost, by the plugin and the file.
func (r *remover) opens(ctx context.Context, f *Finding) (why string) {
	keys := r.Keys.fresh()
	defer keys.Close()
	switch out := keys.open(ctx, f.Resource, f.key, f.content); {
	case out.state == Readable:
		return "it opens now"
	case out.state == NotKnown && f.asked != NotKnown: // whatever people say: it was known before
		return out.why
	case out.state == Damaged, r.saidGone(f.KeyID, f.Provider):
		return ""
	case out.state == KeyGone && f.State == Damaged: // others under its key id opened
		return ""
	default:
		return out.why
	}
}
