package adoption

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
)

// page is how many Secrets are held in memory at once.
const page = 200

// copies takes every other Secret that is made of the source's values alone. What has
// more in it, or is written by others, is told.
func (p *planning) copies(ctx context.Context) error {
	if !p.sensitive() {
		return errs.Newf(errs.Invalid, "no value of Secret %s/%s looks like a credential: equal values elsewhere may be chance, and are not taken for copies", p.source.Namespace, p.source.Name)
	}
	spaces := p.o.In
	if len(spaces) == 0 {
		spaces = []string{""}
	}
	for _, ns := range spaces {
		list := &corev1.SecretList{}
		for next := ""; ; {
			if err := p.Client.List(ctx, list, client.InNamespace(ns), client.Limit(page), client.Continue(next)); err != nil {
				return explain(err, "listing Secrets to find copies (-in names namespaces)")
			}
			for i := range list.Items {
				if err := p.consider(ctx, &list.Items[i]); err != nil {
					return err
				}
			}
			if next = list.Continue; next == "" {
				break
			}
		}
	}
	return nil
}

// sensitive reports whether the source has a credential.
func (p *planning) sensitive() bool {
	for name := range p.out.fields {
		if p.credential(name) {
			return true
		}
	}
	return false
}

func (p *planning) credential(name string) bool {
	return looks.Of(name, p.out.fields[name].raw.Reveal()).Sensitive()
}

func (p *planning) consider(ctx context.Context, s *corev1.Secret) error {
	if s.Namespace == p.source.Namespace && s.Name == p.source.Name || foreign[s.Type] {
		return nil
	}
	from, unclear, credential := p.made(s)
	if !credential {
		return nil
	}
	leave := func(why string, args ...any) {
		p.told = append(p.told, fmt.Sprintf("Secret %s/%s, which has the credential too, is left as it is: %s", s.Namespace, s.Name, fmt.Sprintf(why, args...)))
	}
	if len(from) < len(s.Data) {
		leave("it has other values beside it")
		return nil
	}
	if len(unclear) > 0 {
		leave("which field %s is of cannot be told, since several hold the same", strings.Join(unclear, ", "))
		return nil
	}
	managed, err := p.mayTake(s, p.o)
	if err != nil {
		leave("%v", err)
		return nil
	}
	err = p.take(ctx, s, from, managed)
	switch n := len(p.out.taken); {
	case err != nil:
		leave("%v", err)
	case p.out.taken[n-1].es == nil:
		p.out.taken = p.out.taken[:n-1]
		leave("a store fills it already")
	}
	return nil
}

// foreign are types that are nobody's credential, or Kubernetes' own.
var foreign = map[corev1.SecretType]bool{
	corev1.SecretTypeServiceAccountToken: true, corev1.SecretTypeBootstrapToken: true, "helm.sh/release.v1": true,
}

// made says which field each key of s has the value of: the one that is called the same, or
// else the only one. unclear are the keys of which several have it: they are in from too.
// credential says that one of the values is one.
func (p *planning) made(s *corev1.Secret) (from map[string]string, unclear []string, credential bool) {
	from = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		var same []string
		for _, name := range slices.Sorted(maps.Keys(p.out.fields)) {
			if len(s.Data[key]) > 0 && string(s.Data[key]) == p.out.fields[name].raw.RevealString() {
				same = append(same, name)
				credential = credential || p.credential(name)
			}
		}
		switch {
		case len(same) == 0:
		case slices.Contains(same, key):
			from[key] = key
		default:
			from[key] = same[0]
			if len(same) > 1 {
				unclear = append(unclear, key)
			}
		}
	}
	return from, unclear, credential
}
