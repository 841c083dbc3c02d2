package world

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Proxied returns a kubeconfig of the operator by which it reaches the API server
// through this process: written hears of each status of the Rotation that was
// written, before who wrote it hears that it was.
func (w *World) Proxied(written func(v1alpha1.RotationStatus)) (kubeconfig string) {
	w.Helper()
	config, err := clientcmd.LoadFromFile(w.operator)
	if err != nil {
		w.Fatal(err)
	}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	at, err := url.Parse(cluster.Server)
	if err != nil {
		w.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(cluster.CertificateAuthorityData) {
		w.Fatal("the kubeconfig has no certificate of the API server")
	}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(at)
			r.Out.Header.Del("Accept-Encoding") // what is not compressed can be read
		},
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true},
		FlushInterval:  -1,
		ModifyResponse: func(r *http.Response) error { return overhear(r, written) },
	})
	server.EnableHTTP2 = true
	server.StartTLS()
	w.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	cluster.Server = server.URL
	cluster.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	kubeconfig = filepath.Join(w.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		w.Fatal(err)
	}
	return kubeconfig
}

func overhear(r *http.Response, written func(v1alpha1.RotationStatus)) error {
	if r.Request.Method != http.MethodPut || r.StatusCode != http.StatusOK || !strings.HasSuffix(r.Request.URL.Path, "/rotations/db/status") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	var rot v1alpha1.Rotation
	if err := json.Unmarshal(body, &rot); err != nil {
		return err
	}
	written(rot.Status)
	return nil
}

// Refusals are how often the vault refused an act on the role, by its audit log.
func (w *World) Refusals(act string) (n int) {
	w.Helper()
	log, err := os.ReadFile(w.Vault.AuditFile())
	if err != nil {
		w.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var e struct {
			Type    string
			Error   string
			Request struct{ Path string }
		}
		if json.Unmarshal(line, &e) == nil && e.Type == "response" && e.Request.Path == "database/alternating-roles/app/"+act && e.Error != "" {
			n++
		}
	}
	return n
}
