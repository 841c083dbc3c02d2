package stores

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/format"
)

// manifest is what has to be known of a store.
type manifest struct {
	Program string            `json:"program"` // as sys/seal-status says
	Made    time.Time         `json:"made"`    // what was given for a time still holds then
	Format  int               `json:"format"`
	Shares  []string          `json:"shares"` // in hex
	Root    string            `json:"root"`
	Kept    map[string]string `json:"kept"`
	Steps   []string          `json:"steps"` // those that the version took
}

// client sends calls to a server.
type client struct {
	url  string
	http *http.Client
	root string
	kept map[string]string
}

func (c *client) fill(s string) string {
	return os.Expand(s, func(name string) string { return c.kept[name] })
}

// do returns the answer as JSON, or an error for what is not 2xx.
func (c *client) do(q *call) (any, error) {
	var body io.Reader
	if q.body != nil {
		raw, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(c.fill(string(raw)))
	}
	req, err := http.NewRequestWithContext(context.Background(), q.method, c.url+"/v1/"+q.path, body)
	if err != nil {
		return nil, err
	}
	token := c.root
	if q.token != "" {
		token = c.fill(q.token)
	}
	req.Header.Set("X-Vault-Token", token)
	if q.ns != "" {
		req.Header.Set("X-Vault-Namespace", q.ns)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", q.method, q.path, res.StatusCode, raw)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return v, d.Decode(&v)
}

// at is the text of what stands at a dotted path, "" if nothing does.
func at(v any, path string) string {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Every store that is kept opens, gives all that was put into it, and goes on, twice.
func TestOpen(t *testing.T) {
	found, err := filepath.Glob(filepath.Join("testdata", "*", "manifest.json"))
	if err != nil || len(found) < 3 {
		t.Fatal("the stores are not there: ", found, err)
	}
	for _, file := range found {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var m manifest
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			unpack(t, filepath.Join(filepath.Dir(file), "store.tar.gz"), dir)
			began := time.Now()
			v := testenv.New(t, func(c *app.ServerConfig) {
				c.DataDir, c.Storage, c.EtcdEndpoints, c.EtcdPrefix = dir, "", nil, ""
				c.Now = func() time.Time { return m.Made.Add(time.Since(began)) }
			})
			v.Root, v.Shares = m.Root, m.Shares
			v.Unseal()
			check(t, v, &m, checks)
			v.Restart()
			v.Unseal()
			check(t, v, &m, []call{
				{needs: "kv2 again", method: "GET", path: "two/data/app/config", want: map[string]string{"data.data.color": "green"}},
				{needs: "encrypt", method: "POST", path: "transit/decrypt/aes", body: object{"ciphertext": "${ciphertext}"}, want: map[string]string{"data.plaintext": "aGVsbG8="}},
				{needs: "user", method: "POST", path: "auth/userpass/login/bob", body: object{"password": "another of a test"}, want: map[string]string{"auth.metadata.username": "bob"}},
			})
			if strings.Contains(v.Log.String(), "level=ERROR") {
				t.Error("the server complains:\n", v.Log)
			}
		})
	}
}

// Of the present format a store is kept: who makes a new one keeps one.
func TestPresentFormatIsKept(t *testing.T) {
	found, _ := filepath.Glob(filepath.Join("testdata", "*", "manifest.json"))
	if !slices.ContainsFunc(found, func(file string) bool {
		raw, err := os.ReadFile(file)
		var m manifest
		return err == nil && json.Unmarshal(raw, &m) == nil && m.Format == format.This.Newest
	}) {
		t.Errorf("no store of format %d is kept: doc.go says how one is made", format.This.Newest)
	}
}

func check(t *testing.T, v *testenv.Vault, m *manifest, all []call) {
	t.Helper()
	c := &client{url: v.Server.URL(), http: v.NewClient("").CloneConfig().HttpClient, root: m.Root, kept: m.Kept}
	for _, q := range all {
		if !slices.Contains(m.Steps, q.needs) {
			continue
		}
		answer, err := c.do(&q)
		if err != nil {
			t.Error(err)
			continue
		}
		for path, want := range q.want {
			if got := at(answer, path); got != c.fill(want) {
				t.Errorf("%s %s: %s is %q, not %q", q.method, q.path, path, got, c.fill(want))
			}
		}
	}
}

// TestMake makes a store; see doc.go.
func TestMake(t *testing.T) {
	program, name := os.Getenv("STRONGKEEP_STORE_OF"), os.Getenv("STRONGKEEP_STORE_NAME")
	if program == "" {
		t.Skip("makes nothing unless STRONGKEEP_STORE_OF names a program")
	}
	free, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	dir, listen := t.TempDir(), "127.0.0.1:"+strconv.Itoa(free)
	server := exec.CommandContext(t.Context(), program, "server", "-data-dir="+dir, "-listen="+listen)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	c := &client{url: "https://" + listen, kept: map[string]string{}}
	awaitServer(t, c, dir)
	m := manifest{Made: time.Now().UTC(), Format: 1, Kept: c.kept}
	initialise(t, c, &m)
	for _, s := range steps {
		answer, err := c.do(&s)
		if err != nil {
			t.Log("left out:", s.name, err)
			continue
		}
		m.Steps = append(m.Steps, s.name)
		for name, path := range s.keep {
			if c.kept[name] = at(answer, path); c.kept[name] == "" {
				t.Fatal(s.name, ": nothing at ", path)
			}
		}
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join("testdata", name)
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	pack(t, dir, filepath.Join(to, "store.tar.gz"))
	raw, err := json.MarshalIndent(&m, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "manifest.json"), append(raw, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func awaitServer(t *testing.T, c *client, dir string) {
	for end := time.Now().Add(time.Minute); ; {
		ca, err := os.ReadFile(filepath.Join(dir, "tls", "ca.pem"))
		if err == nil {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca)
			c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
			if _, err = c.do(&call{method: "GET", path: "sys/seal-status"}); err == nil {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func initialise(t *testing.T, c *client, m *manifest) {
	made, err := c.do(&call{method: "PUT", path: "sys/init", body: object{"secret_shares": testenv.Shares, "secret_threshold": testenv.Threshold}})
	if err != nil {
		t.Fatal(err)
	}
	m.Root = at(made, "root_token")
	c.root = m.Root
	for i := range testenv.Shares {
		share := at(made, "keys."+strconv.Itoa(i))
		m.Shares = append(m.Shares, share)
		if i < testenv.Threshold {
			status, err := c.do(&call{method: "PUT", path: "sys/unseal", body: object{"key": share}})
			if err != nil {
				t.Fatal(err)
			}
			m.Program = at(status, "version")
		}
	}
}

// pack keeps the store of a data directory.
func pack(t *testing.T, dir, file string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(filepath.Join(dir, "store"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(raw))}); err != nil {
			return err
		}
		_, err = w.Write(raw)
		return err
	})
	if err := errors.Join(err, w.Close(), z.Close(), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || !filepath.IsLocal(h.Name) {
			t.Fatal(h, err)
		}
		content, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, filepath.Dir(h.Name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, h.Name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
