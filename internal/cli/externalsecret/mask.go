package externalsecret

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// mask shows values, or what tells them apart.
type mask struct {
	show bool
	key  []byte
}

// shortestKey is the least that a file for digests holds, in bytes.
const shortestKey = 16

func newMask(show bool, keyFile string) (*mask, error) {
	m := &mask{show: show, key: make([]byte, sha256.Size)}
	if keyFile == "" {
		rand.Read(m.key)
		return m, nil
	}
	raw, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, unopened(err)
	}
	if len(raw) < shortestKey {
		return nil, errs.Newf(errs.Invalid, "-digest-key: %s has %d bytes: it needs %d, such as from: openssl rand -out %s 32", keyFile, len(raw), shortestKey, keyFile)
	}
	m.key = raw
	return m, nil
}

// of is the length of a value and its digest.
func (m *mask) of(value []byte) string {
	h := hmac.New(sha256.New, m.key)
	h.Write(value)
	return fmt.Sprintf("(%d bytes, digest %s)", len(value), hex.EncodeToString(h.Sum(nil)[:4]))
}

// shown is a Secret as it is printed. Masked values stand in data, where the API
// server refuses them.
type shown struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   shownMetadata     `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	StringData map[string]string `json:"stringData,omitempty"`
}

type shownMetadata struct {
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	Finalizers      []string          `json:"finalizers,omitempty"`
	OwnerReferences []shownOwner      `json:"ownerReferences,omitempty"`
}

// shownOwner is a metav1.OwnerReference that may lack the uid, which files do not have.
type shownOwner struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid,omitempty"`
	Controller bool      `json:"controller"`
}

func (m *mask) secret(es *v1.ExternalSecret, s *target.Secret) shown {
	out := shown{
		APIVersion: "v1", Kind: "Secret", Type: string(s.Type), Immutable: s.Immutable,
		Metadata: shownMetadata{Name: s.Name, Namespace: s.Namespace, Finalizers: s.Finalizers},
	}
	plain := literals(es)
	out.Metadata.Labels, out.Metadata.Annotations = m.metadata(s.Labels, plain), m.metadata(s.Annotations, plain)
	if s.Owner != nil {
		out.Metadata.OwnerReferences = []shownOwner{{s.Owner.APIVersion, s.Owner.Kind, s.Owner.Name, s.Owner.UID, true}}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		out.set(m, key, s.Data[key])
	}
	return out
}

func (s *shown) set(m *mask, key string, value []byte) {
	into, text := &s.Data, m.of(value)
	switch {
	case m.show && utf8.Valid(value) && bytes.IndexByte(value, 0) < 0:
		into, text = &s.StringData, string(value)
	case m.show:
		text = base64.StdEncoding.EncodeToString(value)
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[key] = text
}

// literals are the texts that the ExternalSecret itself has as labels and
// annotations: what a template made of them is something else, and may be secret.
func literals(es *v1.ExternalSecret) map[string]bool {
	all := map[string]bool{target.LabelManagedTrue: true, target.CreatedBy(es.Namespace, es.Name): true}
	sets := []map[string]string{es.Labels, es.Annotations}
	if t := es.Spec.Target.Template; t != nil {
		sets = []map[string]string{t.Metadata.Labels, t.Metadata.Annotations}
	}
	for _, set := range sets {
		for _, text := range set {
			all[text] = true
		}
	}
	return all
}

func (m *mask) metadata(values map[string]string, plain map[string]bool) map[string]string {
	out := make(map[string]string, len(values))
	for key, text := range values {
		if !m.show && !plain[text] {
			text = m.of([]byte(text))
		}
		out[key] = text
	}
	return out
}

// renderAll prints what can be made, and then says what cannot.
func (x *commands) renderAll(ctx context.Context, manifests *preview.Manifests, maker *preview.Maker, m *mask) error {
	var all []shown
	var wrong []error
	for _, at := range manifests.ExternalSecrets {
		made, err := maker.Secret(ctx, at.ExternalSecret)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			wrong = append(wrong, at.Wrong(err))
			continue
		}
		x.remark(at, made)
		if made.Secret == nil {
			continue
		}
		s := m.secret(at.ExternalSecret, made.Secret)
		all = append(all, s)
		if err := x.document(at, s, made.Secret.Merge); err != nil {
			return err
		}
	}
	if err := x.programs(all); err != nil {
		return err
	}
	if len(wrong) == 0 {
		return nil
	}
	return errs.As(errs.KindOf(wrong[0]), errors.Join(wrong...))
}

// remark warns of what is not in the Secret.
func (x *commands) remark(at preview.At, made preview.Made) {
	of := fmt.Sprintf("%s: ExternalSecret %q: ", at.Place, at.Namespace+"/"+at.Name)
	for _, text := range made.Missing {
		x.Warn([]string{of + text})
	}
	if made.Says != "" {
		x.Warn([]string{of + made.Says})
	}
}

// document prints one Secret for people, as YAML.
func (x *commands) document(at preview.At, s shown, merge bool) error {
	if x.Format == "json" || x.Field != "" {
		return nil
	}
	note := ""
	if merge {
		note = ", which takes only these keys (creationPolicy " + string(target.Policy(at.ExternalSecret)) + ")"
	}
	raw, err := yaml.Marshal(s)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding YAML: %w", err)
	}
	_, err = fmt.Fprintf(x.Env.Stdout, "---\n# %s: of ExternalSecret %s/%s%s\n%s", at.Place, at.Namespace, at.Name, note, raw)
	return err
}

// programs prints one Secret, or a list of several, as JSON.
func (x *commands) programs(all []shown) error {
	if x.Format != "json" && x.Field == "" || len(all) == 0 {
		return nil
	}
	if len(all) == 1 {
		return x.Print(all[0], nil, nil)
	}
	return x.Print(struct {
		APIVersion string  `json:"apiVersion"`
		Kind       string  `json:"kind"`
		Items      []shown `json:"items"`
	}{"v1", "List", all}, nil, nil)
}
