package witness

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Identity is a key that lives as long as the process, and a certificate that
// nobody signed: its Pin is what it is known by.
type Identity struct {
	Certificate tls.Certificate
	Pin         string
}

// NewIdentity makes one.
func NewIdentity(now time.Time) (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, errs.Newf(errs.Internal, "making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strongkeep-witness"}, DNSNames: []string{"strongkeep-witness"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(100, 0, 0), // the pin decides, and ends with the pod
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Identity{}, errs.Newf(errs.Internal, "making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, errs.Newf(errs.Internal, "reading the certificate just made: %w", err)
	}
	return Identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, PinOf(leaf)}, nil
}

// PinOf returns the pin of a certificate.
func PinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Publish writes the pin on the witness's own pod. Kinds: Denied, Unavailable.
func (i Identity) Publish(ctx context.Context, client kubernetes.Interface, pod types.NamespacedName) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{AnnotationPin: i.Pin}}})
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the pin: %w", err)
	}
	_, err = client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "strongkeep-witness"})
	if err != nil {
		return errs.Newf(errs.Unavailable, "writing the pin on pod %s (its ServiceAccount needs patch on pods; see deploy/witness): %w", pod, err)
	}
	return nil
}
