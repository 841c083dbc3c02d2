package record

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Account is what is kept of o.
func Account(o *corev1.ServiceAccount) snapshot.Account {
	out := snapshot.Account{Meta: Meta(o), Automount: o.AutomountServiceAccountToken}
	for i := range o.Secrets {
		out.Secrets = append(out.Secrets, o.Secrets[i].Name)
	}
	for i := range o.ImagePullSecrets {
		out.PullSecrets = append(out.PullSecrets, o.ImagePullSecrets[i].Name)
	}
	return out
}

// AccountUses are the Secrets that a ServiceAccount names.
func AccountUses(a *snapshot.Account) []snapshot.Use {
	from := snapshot.Ref{Kind: "ServiceAccount", Namespace: a.Namespace, Name: a.Name}
	var out []snapshot.Use
	for _, name := range a.Secrets {
		out = append(out, snapshot.Use{From: from, Field: "secrets[" + name + "]", To: snapshot.Ref{Kind: "Secret", Namespace: a.Namespace, Name: name}})
	}
	for _, name := range a.PullSecrets {
		out = append(out, snapshot.Use{From: from, Field: "imagePullSecrets[" + name + "]", To: snapshot.Ref{Kind: "Secret", Namespace: a.Namespace, Name: name}})
	}
	return out
}

// Namespace is what is kept of o.
func Namespace(o *corev1.Namespace) snapshot.Namespace {
	return snapshot.Namespace{Meta: Meta(o), Terminating: o.DeletionTimestamp != nil || o.Status.Phase == corev1.NamespaceTerminating}
}
