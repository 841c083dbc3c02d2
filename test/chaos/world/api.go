package world

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
)

// API is a client of one node, on the host of the clients.
type API struct {
	URL   string
	Token string // what requests bring unless they say otherwise
	HTTP  *http.Client
}

// Answer of a node.
type Answer struct {
	Status int
	Index  string // X-Vault-Index
	Body   []byte
}

// NotSent is the error of a request that did not leave its client.
type NotSent struct{ Err error }

func (n *NotSent) Error() string { return "connecting: " + n.Err.Error() }

// Unwrap implements errors.
func (n *NotSent) Unwrap() error { return n.Err }

// API makes a client of a node, with connections of its own.
func (w *World) API(m *Machine) *API {
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(w.CAFile); err == nil {
		pool.AppendCertsFromPEM(pem) // without it no request will do
	}
	return &API{URL: m.URL(), Token: w.Root, HTTP: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.Clients.Dial(ctx, network, addr)
			if err != nil {
				return nil, &NotSent{err}
			}
			return c, nil
		},
		MaxIdleConnsPerHost: 4,
	}}}
}

// Do sends a request; header are names and values. The body is JSON, nil = none.
func (a *API) Do(ctx context.Context, method, path string, body any, header ...string) (Answer, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.URL+"/v1/"+path, content)
	if err != nil {
		return Answer{}, err
	}
	if a.Token != "" {
		req.Header.Set("X-Vault-Token", a.Token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := a.HTTP.Do(req)
	if err != nil {
		a.HTTP.CloseIdleConnections()
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header.Get("X-Vault-Index"), raw}, err
}

// must sends a request that has to do; into may be nil.
func (a *API) must(ctx context.Context, method, path string, body, into any) error {
	r, err := a.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if r.Status >= 300 {
		return fmt.Errorf("%s %s: %d: %s", method, path, r.Status, r.Body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(r.Body, into)
}

// poll is how often something is asked for that is to come.
const poll = 50 * time.Millisecond

// await asks again until f does without an error.
func await(ctx context.Context, f func(ctx context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := f(one)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(poll):
		}
	}
}

// initialise makes the vault and returns the root token.
func (a *API) initialise(ctx context.Context) (string, error) {
	var status struct {
		Type     string `json:"type"`
		AutoSeal bool   `json:"recovery_seal"`
	}
	if err := await(ctx, func(ctx context.Context) error { return a.must(ctx, http.MethodGet, "sys/seal-status", nil, &status) }); err != nil {
		return "", err
	}
	shares := map[string]any{"secret_shares": 1, "secret_threshold": 1}
	if status.AutoSeal {
		shares = map[string]any{"recovery_shares": 1, "recovery_threshold": 1}
	}
	var made struct {
		Root string `json:"root_token"`
	}
	// Once, however long it takes: who does not hear the answer has no root token, and no second one is to be had.
	err := a.must(ctx, http.MethodPut, "sys/init", shares, &made)
	return made.Root, err
}

// awaitOpen waits until the node answers a health check as one that serves.
func (a *API) awaitOpen(ctx context.Context) error {
	return await(ctx, func(ctx context.Context) error {
		return a.must(ctx, http.MethodGet, "sys/health?standbyok=true&perfstandbyok=true", nil, nil)
	})
}

// startKMS runs the vault that keeps the key, and returns the file that names it to the nodes.
func (w *World) startKMS(ctx context.Context) (string, error) {
	var err error
	if w.KMS, err = w.machine("kms", 50); err != nil {
		return "", err
	}
	key := filepath.Join(w.Dir, "unseal.key")
	if _, err := keyfile.Generate(key); err != nil {
		return "", err
	}
	if err := w.runNode(w.KMS, "-unseal-key-file", key); err != nil {
		return "", err
	}
	a := w.API(w.KMS)
	if a.Token, err = a.initialise(ctx); err != nil {
		return "", err
	}
	if err := a.awaitOpen(ctx); err != nil {
		return "", err
	}
	for path, body := range map[string]any{"sys/mounts/transit": map[string]any{"type": "transit"}} {
		if err := a.must(ctx, http.MethodPost, path, body, nil); err != nil {
			return "", err
		}
	}
	if err := a.must(ctx, http.MethodPost, "transit/keys/unseal", nil, nil); err != nil {
		return "", err
	}
	token := filepath.Join(w.Dir, "kms.token")
	if err := os.WriteFile(token, []byte(a.Token), 0o400); err != nil {
		return "", err
	}
	seal := filepath.Join(w.Dir, "seal.yaml")
	text := fmt.Sprintf("transit: {address: %q, ca_file: %q, key: unseal, auth: {token_file: %q}}\n", w.KMS.URL(), w.CAFile, token)
	return seal, os.WriteFile(seal, []byte(text), 0o400)
}

// Versions is how many of each key the vault keeps.
const Versions = 400

// mounts are what the clients use, and the background work that is watched.
func (w *World) mounts(ctx context.Context) error {
	a := w.API(w.Nodes[0])
	if err := a.must(ctx, http.MethodPost, "sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil); err != nil {
		return err
	}
	if err := await(ctx, func(ctx context.Context) error {
		return a.must(ctx, http.MethodPost, "kv/config", map[string]any{"max_versions": Versions}, nil)
	}); err != nil {
		return err
	}
	for _, name := range []string{"turns", "creds"} {
		if err := a.must(ctx, http.MethodPost, "sys/mounts/"+name, map[string]any{"type": name}, nil); err != nil {
			return err
		}
	}
	return await(ctx, w.Whole)
}
