// Package event tells the cluster what a report answers with no, as Events: those who look
// at clusters see them without knowing where reports are kept.
//
// Start reading at Tell.
package event

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// reasons are those of Events, by the question that is answered with no.
var reasons = map[string]string{
	proof.Encrypted: "ValuesInClear", proof.Provider: "OtherProvider", proof.Key: "OldKey", proof.History: "OverwrittenInClear",
	proof.OfCluster: "AnotherEtcd", proof.Configuration: "ConfigurationDiffers", proof.Plugins: "PluginKeyDiffers",
}

// longest is what an API server takes as a message, in bytes.
const longest = 1024

// Tell writes a Warning for each question that is answered with no. They are about the
// namespace kube-system, and stand in "default", as those about objects without a namespace
// do. It returns how many. Kinds: Invalid, Unavailable.
func Tell(ctx context.Context, to *rest.Config, s *proof.Statement) (int, error) {
	client, err := kubernetes.NewForConfig(to)
	if err != nil {
		return 0, errs.Newf(errs.Invalid, "reaching the cluster: %w", err)
	}
	told := 0
	for _, a := range s.Answers {
		if a.Answer.Answer != stored.No {
			continue
		}
		message := a.Question + " No: " + a.Detail
		at := metav1.NewTime(s.Time)
		_, err := client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{GenerateName: "encryption-report-", Namespace: metav1.NamespaceDefault},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: metav1.NamespaceSystem, UID: types.UID(s.Cluster)},
			Type:           corev1.EventTypeWarning, Reason: reasons[a.ID], Message: strings.ToValidUTF8(message[:min(len(message), longest)], ""),
			Source: corev1.EventSource{Component: "strongkeep-encryption-report", Host: s.By.Host}, FirstTimestamp: at, LastTimestamp: at, Count: 1,
		}, metav1.CreateOptions{})
		if err != nil {
			return told, errs.Newf(errs.Unavailable, "writing an Event: %w", err)
		}
		told++
	}
	return told, nil
}
