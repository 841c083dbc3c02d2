package controller

import (
	"cmp"
	"context"
	"time"

	"k8s.io/utils/ptr"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/clients"
)

// longAgo is how far back is looked for who has read the old version, where
// nothing says when it was published: tokens that are not renewed without end are
// gone by then.
const longAgo = 32 * 24 * time.Hour

// seeClients asks the vault who reads the credential without a Secret.
func (r *Reconciler) seeClients(ctx context.Context, l *look) {
	s := &l.rot.Status
	if l.o.Plan.NeedClients == v1alpha1.ClientsIgnored || l.o.Turn.NoOld || l.vault == nil {
		return
	}
	began := ptr.Deref(s.Begun, metav1.Time{Time: l.o.Now}).Time
	q := clients.Question{
		Vault: l.vault, Location: cmp.Or(s.Location, l.location), Fresh: l.live,
		Since: ptr.Deref(s.PreviousAt, metav1.Time{Time: began.Add(-longAgo)}).Time,
	}
	if q.Location == "" {
		l.o.Proof.ClientsUnknown = []string{"it is not known where the credential is read"}
		return
	}
	answer, err := l.mem.clients.Ask(ctx, q, l.o.Now)
	if err != nil {
		l.blind("clients of the vault itself", err)
		return
	}
	l.o.Proof.ClientsUnknown = answer.Unknown
	in := clients.Input{
		Answer: answer, Version: s.Version, Previous: s.PreviousVersion, Published: l.o.Turn.Published,
		Back: l.o.Turn.Back != rotate.Forward, Turned: l.o.Turn.Resumed, Changed: l.state.Changed,
	}
	seen := clients.Judge(in)
	l.clients = &seen.ClientsStatus
	if l.o.Turn.Published.IsZero() { // everybody has the old one
		l.readers = few(seen.Live)
		l.clients.Proven, l.clients.Ended, l.clients.Evidence = 0, 0, nil
		return
	}
	l.o.Proof.Clients = few(seen.Awaited)
}
