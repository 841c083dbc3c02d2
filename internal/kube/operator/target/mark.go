package target

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Mark is the value of AnnotationMark:
//
//	"v1." content "." inputs "." sources
//
// each 16 bytes of HMAC-SHA256 in unpadded URL base64. Half the MAC is enough to
// tell chance apart (RFC 2104 §5), and keeps the annotation short.
type Mark struct {
	Content string // the Secret's type, data, and the labels and annotations that are ours
	Inputs  string // the values and templates it was made from
	Sources string // the store objects and template objects those came from
}

// String returns the annotation's value.
func (m Mark) String() string { return "v1." + m.Content + "." + m.Inputs + "." + m.Sources }

// ParseMark reads an annotation. One that is not ours gives the zero Mark, which
// matches nothing.
func ParseMark(s string) Mark {
	parts := strings.Split(s, ".")
	if len(parts) != 4 || parts[0] != "v1" {
		return Mark{}
	}
	return Mark{parts[1], parts[2], parts[3]}
}

// Key makes the MACs of marks. All operators of one cluster share one.
type Key struct{ key redact.Secret }

// KeySize is the length of a key in bytes.
const KeySize = 32

// NewKey takes ownership of b, which has KeySize bytes.
func NewKey(b []byte) (Key, error) {
	if len(b) != KeySize {
		return Key{}, errs.Newf(errs.Invalid, "the key for marks has %d bytes, not %d", len(b), KeySize)
	}
	return Key{redact.New(b)}, nil
}

// Derive returns the key for a purpose, of which none can be told by who knows or
// guesses by another (HKDF-SHA256, RFC 5869).
func (k Key) Derive(purpose string) (Key, error) {
	b, err := hkdf.Key(sha256.New, k.key.Reveal(), nil, "strongkeep digests of "+purpose, KeySize)
	if err != nil {
		return Key{}, errs.Newf(errs.Internal, "deriving a key of digests: %w", err)
	}
	return NewKey(b)
}

// Cipher returns AES-256-GCM, which draws its nonces itself (good for 2³² texts: NIST SP
// 800-38D §8.3), under a key of its own for a purpose.
func (k Key) Cipher(purpose string) (cipher.AEAD, error) {
	b, err := hkdf.Key(sha256.New, k.key.Reveal(), nil, "strongkeep encryption of "+purpose, KeySize)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "deriving a key of encryption: %w", err)
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a cipher: %w", err)
	}
	sealed, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a cipher: %w", err)
	}
	return sealed, nil
}

// mac is a MAC over fields, each with its length before it, so that no two
// lists of fields are the same bytes.
type mac struct{ hash.Hash }

func (k Key) mac(purpose string) mac {
	m := mac{hmac.New(sha256.New, k.key.Reveal())}
	m.text(purpose)
	return m
}

func (m mac) bytes(b []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(b)))
	m.Write(size[:])
	m.Write(b)
}

func (m mac) text(s string) { m.bytes([]byte(s)) }

func (m mac) strings(values map[string]string, skip string) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(k string) bool { return k == skip })
	m.text(strconv.Itoa(len(names)))
	for _, name := range names {
		m.text(name)
		m.text(values[name])
	}
}

func (m mac) secrets(values map[string][]byte) {
	names := slices.Sorted(maps.Keys(values))
	m.text(strconv.Itoa(len(names)))
	for _, name := range names {
		m.text(name)
		m.bytes(values[name])
	}
}

func (m mac) sum() string { return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16]) }

// Content returns the content MAC of a Secret to be written. The namespace and
// name are in it, so that equal secrets in two places do not look equal.
func (k Key) Content(s *Secret) string {
	return k.content(s)
}

// ContentOf returns the content MAC of a Secret as it is. Labels and annotations
// that manager does not own are left out.
func (k Key) ContentOf(s *corev1.Secret, manager string) string {
	owned := ownedMetadata(s.ManagedFields, manager)
	return k.content(&Secret{
		Namespace: s.Namespace, Name: s.Name, Type: s.Type, Data: s.Data,
		Labels: pick(s.Labels, owned.labels), Annotations: pick(s.Annotations, owned.annotations),
	})
}

// Vouched reports whether an operator with this key has written s as it is, with what
// its annotation says that it was made of. One that several ExternalSecrets merge into
// is nobody's as a whole.
func (k Key) Vouched(s *corev1.Secret) bool {
	mark := ParseMark(s.Annotations[AnnotationMark])
	if mark.Content == "" {
		return false
	}
	for name := range s.Annotations {
		if strings.HasPrefix(name, versionsOfMerge) {
			return false
		}
	}
	for _, f := range s.ManagedFields {
		if !strings.HasPrefix(f.Manager, ManagerPrefix) {
			continue
		}
		if _, says := ownedMetadata(s.ManagedFields, f.Manager).annotations["f:"+AnnotationVersions]; says &&
			hmac.Equal([]byte(mark.Content), []byte(k.ContentOf(s, f.Manager))) {
			return true
		}
	}
	return false
}

func (k Key) content(s *Secret) string {
	m := k.mac("content")
	m.text(s.Namespace)
	m.text(s.Name)
	m.text(string(s.Type))
	m.secrets(s.Data)
	m.strings(s.Labels, "")
	m.strings(s.Annotations, AnnotationMark)
	return m.sum()
}

// Inputs returns the MAC of everything a Secret is made from. Whose it is must be in
// spec: equal inputs have equal MACs, which all may compare who can read them.
func (k Key) Inputs(values map[string]redact.Secret, spec any, texts ...string) (string, error) {
	m := k.mac("inputs")
	raw, err := json.Marshal(spec)
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a template: %w", err)
	}
	m.bytes(raw)
	for _, t := range texts {
		m.text(t)
	}
	data := make(map[string][]byte, len(values))
	for name, v := range values {
		data[name] = v.Reveal()
	}
	m.secrets(data)
	return m.sum(), nil
}

// Sources returns the MAC of the versions of the objects a Secret comes from.
func (k Key) Sources(versions []string) string {
	m := k.mac("sources")
	for _, v := range versions {
		m.text(v)
	}
	return m.sum()
}

// Digest returns the MAC of what an object gives to the pods that use it: its
// data, and nothing of its metadata. object says which it is, such as
// "secret/NAMESPACE/NAME", so that equal data in two places does not look equal.
func (k Key) Digest(object string, data map[string][]byte) string {
	m := k.mac("digest")
	m.text(object)
	m.secrets(data)
	return m.sum()
}

type owned struct{ labels, annotations map[string]json.RawMessage }

// ownedMetadata returns the labels and annotations that manager applied, keyed
// "f:name" as managed fields have them.
func ownedMetadata(fields []metav1.ManagedFieldsEntry, manager string) owned {
	for _, f := range fields {
		if f.Manager == manager && f.Operation == metav1.ManagedFieldsOperationApply && f.FieldsV1 != nil {
			return ownedBy(f)
		}
	}
	return owned{}
}

// ownedBy returns the labels and annotations of one entry of managed fields.
func ownedBy(f metav1.ManagedFieldsEntry) owned {
	var set struct {
		Metadata struct {
			Labels      map[string]json.RawMessage `json:"f:labels"`
			Annotations map[string]json.RawMessage `json:"f:annotations"`
		} `json:"f:metadata"`
	}
	if json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil {
		return owned{}
	}
	return owned{set.Metadata.Labels, set.Metadata.Annotations}
}

func pick(values map[string]string, owned map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(owned))
	for name, v := range values {
		if _, ok := owned["f:"+name]; ok {
			out[name] = v
		}
	}
	return out
}
