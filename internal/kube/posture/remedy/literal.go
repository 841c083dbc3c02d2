package remedy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
)

// known is what a change of values would not undo, said with every plan that moves one.
const known = "whoever could read it there knows the value, and so do Git, what kubectl apply keeps in an annotation, and old revisions: change it at its source when this is done"

// named refuses to guess which Secret is the source.
func (w *World) named(o Options) error {
	if len(o.Secrets) == 0 {
		return errs.New(errs.Invalid, "say which Secret beside it the value is to come from: -secret=NAME; strongkeep trace says which hold it")
	}
	return nil
}

// source is the key of the Secrets that the user named whose value is the same: the one that
// is called like name, or else the only one. nil if there is none, or if the value is no
// credential by itself: a user's name may be equal by chance.
func (w *World) source(name string, value []byte) (*corev1.SecretKeySelector, error) {
	var like, others []*corev1.SecretKeySelector
	for i := range w.Secrets {
		s := &w.Secrets[i]
		for _, key := range slices.Sorted(maps.Keys(s.Data)) {
			if !bytes.Equal(s.Data[key], value) || !looks.Of(name, value).Sensitive() && !looks.Of(key, value).Sensitive() && !looks.Odd(string(value)) {
				continue
			}
			ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: s.Name}, Key: key}
			if plain(key) == plain(name) {
				like = append(like, ref)
			} else {
				others = append(others, ref)
			}
		}
	}
	for _, list := range [][]*corev1.SecretKeySelector{like, others} {
		switch len(list) {
		case 0:
		case 1:
			return list[0], nil
		default:
			return nil, errs.Newf(errs.Conflict, "the value of %s is in key %s of Secret %s and in key %s of Secret %s: which is its source cannot be told; name one Secret with -secret", name, list[0].Key, list[0].Name, list[1].Key, list[1].Name)
		}
	}
	return nil, nil
}

// plain is a name without what differs between variables and keys.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
}

// literals has variables whose literal is the value of a key of a Secret come from there: by
// reference, or, if the application reads files, as files.
func literals(w *World, o Options) (*Plan, error) {
	if err := w.named(o); err != nil {
		return nil, err
	}
	x := filing{spec: &w.Workload.Template.Spec, volumes: map[use]*volume{}, inline: !o.FileEnv, of: func(e *corev1.EnvVar) (*corev1.SecretKeySelector, error) {
		if e.ValueFrom != nil || e.Value == "" || strings.Contains(e.Value, "$(") || strings.Contains(e.Value, "$$") { // made of others
			return nil, nil
		}
		return w.source(e.Name, []byte(e.Value))
	}}
	if err := x.all(); err != nil {
		return nil, err
	}
	if x.moved == 0 {
		return nil, nothing("no variable of %s has, as its literal, the whole value of a key of Secret %s: what stands inside a longer text is not replaced", w.Workload.Ref(), strings.Join(o.Secrets, ", "))
	}
	p := &Plan{
		Check: "SEC-09", Rules: []string{"LiteralVariable"}, Object: w.Workload.Ref(), Values: true,
		Does:  "has variables come from the Secret that holds the same value, in place of the literal: the application reads what it has read",
		Risks: []string{known, "the pods are restarted by the change of their template", "SEC-09 finds them as EnvVariable then: with -file-env they become files, for an application that reads NAME_FILE"},
		Steps: []Step{patchOf(w.Workload, map[string]any{"spec": x.body()}, "a Secret for literals")},
	}
	if o.FileEnv {
		p.Does, p.Risks[2] = "mounts the Secret that holds the same value as a file where a literal was a variable, and sets NAME_FILE to the path in place of NAME", readsFile
	}
	return p, nil
}

// list are names for people.
func list(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d more", len(names)-5)
	}
	return strings.Join(names, ", ")
}
