package file

import (
	"context"
	"net/netip"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
)

// Label is on the witnesses' pods, Namespace where deploy/witness puts them.
const (
	LabelKey   = "app.kubernetes.io/name"
	LabelValue = "strongkeep-witness"
	Namespace  = "strongkeep-witness"
)

// tokenLife is how long a token is good for; the API server gives none shorter.
const tokenLife = 10 * time.Minute

// Pods finds witnesses by their pods. It is safe for concurrent use.
type Pods struct {
	Reader    client.Reader
	Client    client.Client        // makes tokens
	Namespace string               // of the witnesses
	Port      uint16               // 8443 when 0
	Account   types.NamespacedName // the operator's own ServiceAccount
	Clock     clock.PassiveClock

	mu     sync.Mutex
	tokens map[string]token
}

type token struct {
	value string
	until time.Time
}

var _ Witnesses = (*Pods)(nil)

// List implements Witnesses. A pod without a pin has not begun to serve.
func (p *Pods) List(ctx context.Context) ([]Witness, error) {
	var list corev1.PodList
	if err := p.Reader.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels{LabelKey: LabelValue}); err != nil {
		return nil, errs.Newf(errs.Unavailable, "listing the witnesses in namespace %s: %w", p.Namespace, err)
	}
	port := p.Port
	if port == 0 {
		port = 8443
	}
	var out []Witness
	seen := map[string]bool{}
	for i := range list.Items {
		pod := &list.Items[i]
		ip, err := netip.ParseAddr(pod.Status.PodIP)
		pin := pod.Annotations[witness.AnnotationPin]
		if err != nil || pin == "" || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || seen[pod.Spec.NodeName] {
			continue
		}
		seen[pod.Spec.NodeName] = true
		out = append(out, Witness{pod.Spec.NodeName, netip.AddrPortFrom(ip, port), pin})
	}
	return out, nil
}

// Token implements Witnesses. A token is kept for half its life.
func (p *Pods) Token(ctx context.Context, node string) (string, error) {
	now := p.Clock.Now()
	p.mu.Lock()
	t, ok := p.tokens[node]
	p.mu.Unlock()
	if ok && now.Before(t.until) {
		return t.value, nil
	}
	seconds := int64(tokenLife / time.Second)
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{witness.Audience(node)}, ExpirationSeconds: &seconds}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: p.Account.Namespace, Name: p.Account.Name}}
	if err := p.Client.SubResource("token").Create(ctx, account, req); err != nil {
		return "", errs.Newf(errs.Unavailable, "making a token of ServiceAccount %s: %w", p.Account, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokens == nil {
		p.tokens = map[string]token{}
	}
	for other, t := range p.tokens {
		if !now.Before(t.until) {
			delete(p.tokens, other)
		}
	}
	p.tokens[node] = token{req.Status.Token, now.Add(tokenLife / 2)}
	return req.Status.Token, nil
}
