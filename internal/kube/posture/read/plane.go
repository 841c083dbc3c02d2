package read

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record/plane"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// server notes a pod that is an API server. A list that begins anew shows it again.
func (l *live) server(p *corev1.Pod) {
	if found, ok := plane.Server(p); ok {
		l.keep(func(s *snapshot.Snapshot) { addServer(s, found) })
	}
}

func addServer(s *snapshot.Snapshot, found snapshot.Server) {
	all := slices.DeleteFunc(s.Control.Servers, func(o snapshot.Server) bool { return o.Name == found.Name })
	s.Control.Servers = append(all, found)
	slices.SortFunc(s.Control.Servers, func(a, b snapshot.Server) int { return cmp.Compare(a.Name, b.Name) })
}

// version notes which API server answers, and which cloud runs it. The labels of a
// node are asked for; who may not list nodes is told by the version alone.
func (l *live) version(ctx context.Context) error {
	info, err := l.kinds.ServerVersionWithContext(ctx)
	if err != nil {
		return fmt.Errorf("asking for the API server's version: %w", err)
	}
	var labels map[string]string
	nodes, err := l.names.Resource(corev1.SchemeGroupVersion.WithResource("nodes")).List(ctx, metav1.ListOptions{Limit: 1})
	if err == nil && len(nodes.Items) > 0 {
		labels = nodes.Items[0].Labels
	}
	gap, err := reason(err)
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	l.keep(func(s *snapshot.Snapshot) {
		s.Control.Version, s.Control.Managed = info.GitVersion, plane.Managed(info.GitVersion, labels)
		s.Coverage["nodes"] = gap
	})
	return nil
}

// cloud notes which cloud runs the API server, if its version says so, as that of EKS
// does: there a ConfigMap says who people are. Who may not ask for it is not told.
func (l *live) cloud(ctx context.Context) error {
	info, err := l.kinds.ServerVersionWithContext(ctx)
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("asking for the API server's version: %w", err)
	}
	l.keep(func(s *snapshot.Snapshot) {
		s.Control.Version, s.Control.Managed = info.GitVersion, plane.Managed(info.GitVersion, nil)
	})
	return nil
}

// metrics reads those of the API server that answers. It comes last: then its counters
// say how what was read was stored. Whatever stands between may refuse the path or answer
// something else: that is a gap, and no reason to lose what was read.
func (l *live) metrics(ctx context.Context, into *snapshot.Control) (snapshot.Gap, error) {
	body, err := l.client.Discovery().RESTClient().Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").Stream(ctx)
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
		return snapshot.Gap{Reason: "no right to get /metrics of the API server"}, nil
	case ctx.Err() != nil:
		return snapshot.Gap{}, fmt.Errorf("getting /metrics: %w", ctx.Err())
	case err != nil:
		return snapshot.Gap{Reason: "the API server does not answer /metrics"}, nil
	}
	defer func() { _ = body.Close() }()
	switch err := plane.Metrics(body, into); {
	case ctx.Err() != nil:
		return snapshot.Gap{}, fmt.Errorf("getting /metrics: %w", ctx.Err())
	case err != nil:
		return snapshot.Gap{Reason: "what the API server answers to /metrics was cut off, or has a line over 1 MiB"}, nil
	}
	return snapshot.Gap{}, nil
}
