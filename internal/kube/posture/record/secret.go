package record

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Secret is what is kept of o.
func (m *Maker) Secret(o *corev1.Secret) snapshot.Secret {
	out := snapshot.Secret{
		Meta: Meta(o), Type: string(o.Type), Immutable: is(o.Immutable), Read: m.Key != nil, Account: account(o),
		Keys: keys(o.Data, o.StringData),
	}
	out.Changed = changed(out.Writers)
	out.Certificate = certificate(o.Data, o.StringData)
	if out.Type == "" {
		out.Type = string(corev1.SecretTypeOpaque)
	}
	var inside []snapshot.Value
	if o.Type == helmType {
		out.Release, inside = m.helm(o.Labels, o.Data["release"], o.StringData["release"])
	}
	if m.Key == nil {
		return out
	}
	out.Values = m.data(o.Data, o.StringData)
	out.Values = append(out.Values, inside...)
	out.Values = append(out.Values, m.annotations(o.Annotations, m.appliedSecret)...)
	return out
}

// SecretName is what is kept of a Secret of which only metadata were read.
func SecretName(o *metav1.PartialObjectMetadata) snapshot.Secret {
	out := snapshot.Secret{Meta: Meta(o)}
	out.Changed = changed(out.Writers)
	return out
}

// ConfigMap is what is kept of o.
func (m *Maker) ConfigMap(o *corev1.ConfigMap) snapshot.ConfigMap {
	out := snapshot.ConfigMap{Meta: Meta(o), Keys: keys(o.BinaryData, o.Data)}
	out.Changed = changed(out.Writers)
	var inside []snapshot.Value
	if o.Labels["OWNER"] == "TILLER" || o.Labels["owner"] == "helm" {
		out.Release, inside = m.helm(o.Labels, nil, o.Data["release"])
	}
	if m.Key == nil {
		return out
	}
	out.Values = m.configData(o.BinaryData, o.Data)
	out.Values = append(out.Values, inside...)
	out.Values = append(out.Values, m.annotations(o.Annotations, m.appliedConfigMap)...)
	return out
}

// changed is when somebody last wrote content.
func changed(all []snapshot.Writer) time.Time {
	for _, w := range slices.Backward(all) {
		if w.Content {
			return w.Time
		}
	}
	return time.Time{}
}

func account(o *corev1.Secret) string {
	if o.Type != corev1.SecretTypeServiceAccountToken {
		return ""
	}
	return o.Annotations[corev1.ServiceAccountNameKey]
}

// keys are those of data, in order, each once.
func keys(raw map[string][]byte, text map[string]string) []string {
	if len(raw)+len(text) == 0 {
		return nil
	}
	out := make([]string, 0, len(raw)+len(text))
	for k := range raw {
		out = append(out, shown(k))
	}
	for k := range text {
		out = append(out, shown(k))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// data are the values of a Secret. What stringData has is written over data.
func (m *Maker) data(raw map[string][]byte, text map[string]string) []snapshot.Value {
	out := slices.Grow([]snapshot.Value(nil), len(raw)+len(text))
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		if _, over := text[k]; !over {
			out = append(out, m.value("data."+shown(k), k, raw[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(text)) {
		out = append(out, m.value("stringData."+shown(k), k, []byte(text[k])))
	}
	return out
}

func (m *Maker) configData(raw map[string][]byte, text map[string]string) []snapshot.Value {
	out := slices.Grow([]snapshot.Value(nil), len(raw)+len(text))
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		out = append(out, m.value("binaryData."+shown(k), k, raw[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(text)) {
		out = append(out, m.value("data."+shown(k), k, []byte(text[k])))
	}
	return out
}

// appliedSecret are the values of a Secret in JSON.
func (m *Maker) appliedSecret(raw []byte) []snapshot.Value {
	var o corev1.Secret
	if json.Unmarshal(raw, &o) != nil {
		return []snapshot.Value{m.value("", "", raw)}
	}
	return m.data(o.Data, o.StringData)
}

func (m *Maker) appliedConfigMap(raw []byte) []snapshot.Value {
	var o corev1.ConfigMap
	if json.Unmarshal(raw, &o) != nil {
		return []snapshot.Value{m.value("", "", raw)}
	}
	return m.configData(o.BinaryData, o.Data)
}

// certificate is the first certificate of tls.crt, else of the first key that
// has one, of which those by the name of a CA are the last.
func certificate(raw map[string][]byte, text map[string]string) *snapshot.Certificate {
	first := func(k string) *snapshot.Certificate {
		if t, ok := text[k]; ok {
			return parse(k, []byte(t))
		}
		return parse(k, raw[k])
	}
	if c := first(corev1.TLSCertKey); c != nil {
		return c
	}
	var names []string // of values that may have one: most have none
	for k, v := range raw {
		if bytes.Contains(v, beginCertificate) {
			names = append(names, k)
		}
	}
	for k, v := range text {
		if strings.Contains(v, string(beginCertificate)) {
			names = append(names, k)
		}
	}
	// Whom to verify by comes after what is shown to others.
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(authority(a), authority(b)), cmp.Compare(a, b))
	})
	for _, k := range names {
		if c := first(k); c != nil {
			return c
		}
	}
	return nil
}

var beginCertificate = []byte("-----BEGIN CERTIFICATE-----")

// authority is 1 for the name of a CA's certificate.
func authority(key string) int {
	if strings.HasPrefix(key, "ca.") || strings.HasPrefix(key, "ca-") || strings.HasPrefix(key, "ca_") {
		return 1
	}
	return 0
}

func parse(key string, value []byte) *snapshot.Certificate {
	if !bytes.Contains(value, beginCertificate) || looks.Of("", value) != snapshot.LooksCert {
		return nil
	}
	block, _ := pem.Decode(value)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return &snapshot.Certificate{
		Key: shown(key), Subject: c.Subject.String(), Issuer: c.Issuer.String(), DNSNames: c.DNSNames, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		SelfSigned: c.Subject.String() == c.Issuer.String(), CA: c.IsCA,
	}
}

func is(b *bool) bool { return b != nil && *b }
