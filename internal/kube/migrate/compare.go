package migrate

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// compare says of each ExternalSecret what taking it over would change in its Secret.
func (l *looker) compare(ctx context.Context) {
	if l.Maker == nil {
		return
	}
	for i := range l.es {
		if ctx.Err() != nil {
			return
		}
		es := &l.es[i]
		at := slices.IndexFunc(l.plan.Objects, func(o Object) bool {
			return o.Kind == v1.KindExternalSecret && o.Namespace == es.Namespace && o.Name == es.Name
		})
		o := &l.plan.Objects[at]
		if o.Verdict == Refused || target.Policy(es) == v1.CreateNone || len(generate.Refs(&es.Spec)) > 0 {
			continue
		}
		l.Progress("comparing " + es.Namespace + "/" + es.Name)
		l.compareOne(ctx, es, o)
	}
}

func (l *looker) compareOne(ctx context.Context, es *v1.ExternalSecret, o *Object) {
	made, err := l.Maker.Secret(ctx, es)
	if err != nil {
		o.worse(Note, "its Secret was not compared: %v", err)
		return
	}
	if made.Secret == nil {
		o.worse(Note, "its Secret was not compared: %s", made.Says)
		return
	}
	var live corev1.Secret
	err = l.Client.Get(ctx, types.NamespacedName{Namespace: es.Namespace, Name: made.Secret.Name}, &live)
	switch {
	case apierrors.IsNotFound(err):
		o.worse(Note, "there is no Secret %q yet: it would be made", made.Secret.Name)
		return
	case err != nil:
		o.worse(Note, "its Secret was not compared: %v", err)
		return
	}
	if !made.Secret.Merge && !target.Ours(es, partialOf(&live)) {
		o.worse(Changes, "Secret %q would not be taken over: %s", live.Name, target.Owner(partialOf(&live)))
		return
	}
	if text := differences(&live, made.Secret); text != "" {
		o.worse(Changes, "Secret %q would change: %s", live.Name, text)
	}
}

// differences names what is not equal, and shows no value; "" when all is.
func differences(live *corev1.Secret, made *target.Secret) string {
	var added, gone, other []string
	for _, key := range slices.Sorted(maps.Keys(made.Data)) {
		if have, ok := live.Data[key]; !ok {
			added = append(added, key)
		} else if !bytes.Equal(have, made.Data[key]) {
			other = append(other, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(live.Data)) {
		if _, ok := made.Data[key]; !ok && !made.Merge {
			gone = append(gone, key)
		}
	}
	var out []string
	say := func(what string, keys []string) {
		if len(keys) > 0 {
			out = append(out, what+" "+strings.Join(keys, ", "))
		}
	}
	say("new keys", added)
	say("keys that go", gone)
	say("other values of", other)
	if made.Type != "" && made.Type != live.Type {
		out = append(out, fmt.Sprintf("type %s, which cannot be changed, to %s", live.Type, made.Type))
	}
	return strings.Join(out, "; ")
}

// moves divides what there is into what is moved at once.
func (l *looker) moves() {
	var uses []use
	for i := range l.es {
		uses = append(uses, use{l.es[i].Namespace, storesOf(&l.es[i])})
	}
	for key := range l.stores {
		if key.Namespace != "" {
			uses = append(uses, use{key.Namespace, nil})
		}
	}
	for _, set := range groups(uses) {
		l.plan.Moves = append(l.plan.Moves, l.move(set))
	}
}

func (l *looker) move(namespaces []string) Move {
	m := Move{Namespaces: namespaces}
	wanted := map[v1.StoreKey]bool{}
	for key := range l.stores {
		if key.Namespace != "" && slices.Contains(namespaces, key.Namespace) {
			wanted[key] = true
		}
	}
	for i := range l.es {
		es := &l.es[i]
		if !slices.Contains(namespaces, es.Namespace) {
			continue
		}
		keys := storesOf(es)
		if len(keys) == 0 {
			continue // of generators alone: no class says whose it is
		}
		m.users = append(m.users, es)
		for _, key := range keys {
			wanted[key] = true
		}
	}
	m.ExternalSecrets = len(m.users)
	for _, key := range slices.SortedFunc(maps.Keys(wanted), func(a, b v1.StoreKey) int { return strings.Compare(a.String(), b.String()) }) {
		store, ok := l.stores[key]
		if !ok {
			m.Blocked = append(m.Blocked, key.String()+" does not exist, or may not be read")
			continue
		}
		m.stores = append(m.stores, store)
		m.Stores = append(m.Stores, key.String())
	}
	m.State = stateOf(m.stores, l.Class)
	l.blocked(&m, wanted)
	return m
}

// blocked says why a move is not to be made as things are.
func (l *looker) blocked(m *Move, stores map[v1.StoreKey]bool) {
	for i := range l.plan.Objects {
		o := &l.plan.Objects[i]
		if (o.Verdict == Refused || o.Verdict == Changes) && m.has(o, stores) {
			m.Blocked = append(m.Blocked, fmt.Sprintf("%s %s: %s", o.Kind, strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"), o.Verdict))
		}
	}
	l.pushed(m)
}

// has reports whether o is moved with m.
func (m *Move) has(o *Object, stores map[v1.StoreKey]bool) bool {
	switch o.Kind {
	case v1.KindSecretStore:
		return slices.Contains(m.Namespaces, o.Namespace)
	case v1.KindClusterSecretStore:
		return stores[v1.StoreKey{Kind: o.Kind, Name: o.Name}]
	case v1.KindExternalSecret:
		return slices.ContainsFunc(m.users, func(es *v1.ExternalSecret) bool { return es.Namespace == o.Namespace && es.Name == o.Name })
	}
	return false
}

// pushed notes the PushSecrets that use the stores of m.
func (l *looker) pushed(m *Move) {
	for i := range l.pushes {
		ps := &l.pushes[i]
		for _, ref := range ps.Spec.SecretStoreRefs {
			if slices.ContainsFunc(m.stores, func(s v1.Store) bool { return names(ref.Name, ref.Kind, ref.LabelSelector, ps.Namespace, s) }) {
				m.Pushes = append(m.Pushes, ps.Namespace+"/"+ps.Name)
				break
			}
		}
	}
}

func storesOf(es *v1.ExternalSecret) []v1.StoreKey {
	var out []v1.StoreKey
	for _, ref := range referred(es) {
		out = append(out, v1.KeyFor(ref, es.Namespace))
	}
	return out
}

// Pick returns the moves that consist of these namespaces; all of them when none is
// named. A namespace that is tied to others needs those, too.
func (p *Plan) Pick(namespaces []string) ([]*Move, error) {
	var out []*Move
	for i := range p.Moves {
		m := &p.Moves[i]
		n := 0
		for _, ns := range m.Namespaces {
			if slices.Contains(namespaces, ns) {
				n++
			}
		}
		switch {
		case n == 0 && len(namespaces) > 0:
			continue
		case len(namespaces) > 0 && n < len(m.Namespaces):
			return nil, tied(m, namespaces)
		}
		out = append(out, m)
	}
	for _, ns := range namespaces {
		if !slices.ContainsFunc(out, func(m *Move) bool { return slices.Contains(m.Namespaces, ns) }) {
			return nil, nothing(ns)
		}
	}
	return out, nil
}
