package operator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

// scrape returns the operator's metrics.
func (w *world) scrape() string {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+w.at.Metrics+"/metrics", nil)
	if err != nil {
		w.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(body)
}

func (w *world) connectedTo(store, by string, connected int) {
	w.Helper()
	line := fmt.Sprintf(`strongkeep_store_changes_connected{by=%q,kind="SecretStore",name=%q,namespace=%q} %d`, by, store, w.ns, connected)
	w.until(line, func() bool { return strings.Contains(w.scrape(), line) })
}

// storeEvent waits for an event whose message has a part.
func (w *world) storeEvent(reason, part string) {
	w.Helper()
	w.until("an event "+reason+" with "+part, func() bool {
		var events corev1.EventList
		if err := testClient.List(w.Context(), &events, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == reason && strings.Contains(e.Message, part) {
				return true
			}
		}
		return false
	})
}

// A value that changes in AWS is in the Secret because a message of EventBridge came,
// long before the interval; what cannot be read is counted, and stops nothing.
func TestChangesFromQueue(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyAWS("aws-changes.yaml")
	w.secret("shop-db", map[string]string{"password": canary + "-new"})
	w.connectedTo("aws-secrets", "sqs", 1)
	for i := range 3 {
		value := canary + "-" + strconv.Itoa(i)
		w.aws.Put("shop/db", `{"password":"`+value+`"}`)
		w.aws.Send(canary + " is no event")
		w.aws.Changed("shop/db")
		w.secret("shop-db", map[string]string{"password": value})
	}
	if metrics := w.scrape(); !strings.Contains(metrics, `call="Notice"`) || strings.Contains(metrics, canary) {
		t.Error("messages are not counted, or a value is in the metrics")
	}
}

// A queue that cannot be read is told at the store, which goes on; another annotation
// takes effect at once, though it is no part of the generation.
func TestChangesRefused(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.aws.Fail("ReceiveMessage", awstest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException"})
	w.applyAWS("aws-changes.yaml")
	w.secret("shop-db", map[string]string{"password": canary + "-new"})
	w.storeEvent(reasonChangesRefused, "sqs:ReceiveMessage")
	w.storeReady("aws-secrets", v1.ReasonStoreValid, "")
	w.connectedTo("aws-secrets", "sqs", 0)
	w.aws.Mend()
	w.kubectl("annotate", "--overwrite", "secretstore", "aws-secrets", v1.AnnotationChanges+"=sqs:https://sqs.us-east-1.amazonaws.com/123456789012/changes")
	w.storeReady("aws-secrets", v1.ReasonInvalidProvider, "must be in the store's region")
	w.kubectl("annotate", "--overwrite", "secretstore", "aws-secrets", v1.AnnotationChanges+"=sqs:"+awstest.QueueURL)
	w.storeReady("aws-secrets", v1.ReasonStoreValid, "")
	w.connectedTo("aws-secrets", "sqs", 1)
}

// tell sends a signed report of a changed key, and returns the status of the answer.
func (w *world) tell(client *http.Client, secret, store, changed string) int {
	w.Helper()
	stamp, body := strconv.FormatInt(time.Now().Unix(), 10), `{"keys":["`+changed+`"]}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v1:" + stamp + ":" + store + ":" + body))
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "https://"+w.at.Changes+"/changes/"+store, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Strongkeep-Timestamp", stamp)
	req.Header.Set("Strongkeep-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// serverCertificate writes a certificate for 127.0.0.1 into a directory, and returns a
// client that believes it.
func serverCertificate(t *testing.T) (client *http.Client, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "changes"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, certFile, keyFile
}

// Who has the key that a store names tells of a change, and the Secret follows, long
// before the interval. A new key in the Secret is the key from then on.
func TestChangesByWebhook(t *testing.T) {
	w := newWorld(t)
	client, certFile, keyFile := serverCertificate(t)
	w.start(func(c *Config) { c.ChangesAddr, c.ChangesTLSCert, c.ChangesTLSKey = "127.0.0.1:0", certFile, keyFile })
	w.applyAWS("changes-webhook.yaml")
	w.secret("shop-token", map[string]string{"token": canary})
	const key = "put-32-random-bytes-in-base64-here"
	at := w.ns + "/aws-parameters"
	for i := range 3 {
		value := canary + "-" + strconv.Itoa(i)
		w.aws.PutParameter("/shop/api/token", value)
		if status := w.tell(client, key, at, "/shop/api/token"); status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
		w.secret("shop-token", map[string]string{"token": value})
	}
	for name, status := range map[string]int{
		"another key": w.tell(client, "another-key-of-thirty-two-bytes-", at, "x"), "another store": w.tell(client, key, w.ns+"/none", "x"),
		"a cluster's": w.tell(client, key, "none", "x"),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, status)
		}
	}
	const other = "another-key-of-thirty-two-bytes-"
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: changes}\nstringData: {key: " + other + "}\n")
	w.until("the new key to be the key", func() bool { return w.tell(client, other, at, "/shop/api/token") == http.StatusAccepted })
	if status := w.tell(client, key, at, "x"); status != http.StatusUnauthorized {
		t.Errorf("the old key: status %d", status)
	}
	if strings.Contains(w.log.String(), key) || strings.Contains(w.log.String(), other) {
		t.Error("a key is in the log")
	}
}

func TestChangesSettings(t *testing.T) {
	for name, cfg := range map[string]Config{
		"TLS without address":   {ChangesTLSCert: "c", ChangesTLSKey: "k"},
		"half of TLS":           {ChangesAddr: ":0", ChangesTLSCert: "c"},
		"files that are absent": {ChangesAddr: ":0", ChangesTLSCert: "/nonexistent/c", ChangesTLSKey: "/nonexistent/k"},
	} {
		if _, err := changesTLS(t.Context(), cfg); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if secure, err := changesTLS(t.Context(), Config{ChangesAddr: ":0"}); err != nil || secure != nil {
		t.Errorf("without TLS: %v, %v", secure, err)
	}
}
