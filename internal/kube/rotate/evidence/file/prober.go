package file

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
)

const maxAnswer = 1 << 20

// Witness is the witness of one node.
type Witness struct {
	Node    string
	Address netip.AddrPort
	Pin     string // see witness.AnnotationPin
}

// Witnesses finds witnesses and what they are shown.
type Witnesses interface {
	// List returns the witnesses that are ready, at most one for a node.
	List(ctx context.Context) ([]Witness, error)
	// Token returns a token of the operator's for the witness of node alone.
	Token(ctx context.Context, node string) (string, error)
}

// Config is what a Prober needs.
type Config struct {
	Witnesses Witnesses
	Timeout   time.Duration // for one question to one node; 5 s
	Parallel  int           // nodes asked at once; 32
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// Prober asks nodes. It is safe for concurrent use.
type Prober struct {
	Config
}

// New returns a Prober.
func New(c Config) *Prober {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Parallel <= 0 {
		c.Parallel = 32
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return &Prober{c}
}

// There reports whether there is a witness at all.
func (p *Prober) There(ctx context.Context) bool {
	list, err := p.Witnesses.List(ctx)
	return err == nil && len(list) > 0
}

// Question is what nodes are asked about.
type Question struct {
	// Fed are the Secrets that hold the credential.
	Fed      []consumer.Fed
	Contents evidence.Contents
}

// Ask returns the nodes' word on every pod that has mounted one of the Secrets
// as files; others are not in it.
func (p *Prober) Ask(ctx context.Context, q Question, pods []consumer.Pod) map[types.UID]evidence.Word {
	out := map[types.UID]evidence.Word{}
	byNode := wanted(ctx, q, pods, out)
	if len(byNode) == 0 {
		return out
	}
	list, err := p.Witnesses.List(ctx)
	if err != nil {
		return mute(byNode, out, "the witnesses cannot be listed")
	}
	at := make(map[string]Witness, len(list))
	for _, w := range list {
		at[w.Node] = w
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		slots = make(chan struct{}, p.Parallel)
	)
	for node, files := range byNode {
		w, ok := at[node]
		if !ok {
			mu.Lock()
			mute(map[string][]mounted{node: files}, out, "no witness is ready on node "+node)
			mu.Unlock()
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			words := p.node(ctx, w, files)
			mu.Lock()
			defer mu.Unlock()
			for uid, word := range words {
				out[uid] = word
			}
		})
	}
	wg.Wait()
	return out
}

// mute has nothing to say of pods, and why.
func mute(byNode map[string][]mounted, out map[types.UID]evidence.Word, why string) map[types.UID]evidence.Word {
	for _, files := range byNode {
		for _, f := range files {
			out[f.pod] = evidence.Word{Text: why}
		}
	}
	return out
}

// node asks one witness about all files on its node.
func (p *Prober) node(ctx context.Context, w Witness, files []mounted) map[types.UID]evidence.Word {
	out := map[types.UID]evidence.Word{}
	token, err := p.Witnesses.Token(ctx, w.Node)
	if err != nil {
		return mute(map[string][]mounted{"": files}, out, "no token for the witness could be had: may the operator create tokens of its own ServiceAccount?")
	}
	client := p.client(w)
	defer client.CloseIdleConnections()
	for begin := 0; begin < len(files); begin += witness.MaxFiles {
		part := files[begin:min(begin+witness.MaxFiles, len(files))]
		key := make([]byte, witness.KeySize)
		_, _ = rand.Read(key) // never fails (crypto/rand)
		q := witness.Question{Key: key, Files: make([]witness.File, 0, len(part))}
		for _, f := range part {
			q.Files = append(q.Files, f.File)
		}
		answer, err := p.ask(ctx, client, w, token, q)
		if err != nil {
			mute(map[string][]mounted{"": part}, out, "the witness of node "+w.Node+": "+err.Error())
			continue
		}
		for i, f := range part {
			out[f.pod] = and(out[f.pod], f.judge(key, answer.Files[i]))
		}
	}
	return out
}

// client speaks to the holder of the pinned key only.
func (p *Prober) client(w Witness) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: p.Dial, Proxy: nil, MaxResponseHeaderBytes: 16 << 10, TLSHandshakeTimeout: p.Timeout,
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS13,
				// No authority signs it, and its name is an address: the pin is what it is known by.
				InsecureSkipVerify: true, //nolint:gosec // VerifyConnection
				VerifyConnection: func(s tls.ConnectionState) error {
					if len(s.PeerCertificates) == 0 || !pinned(s.PeerCertificates[0], w.Pin) {
						return errPin
					}
					return nil
				},
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errPin = errs.New(errs.Denied, "its key is not the one that its pod names")

func pinned(c *x509.Certificate, pin string) bool {
	return pin != "" && hmac.Equal([]byte(witness.PinOf(c)), []byte(pin))
}

// ask sends one question. Errors are in words of ours.
func (p *Prober) ask(ctx context.Context, client *http.Client, w Witness, token string, q witness.Question) (witness.Answer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return witness.Answer{}, errors.New("the question cannot be encoded")
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+w.Address.String()+witness.Path, bytes.NewReader(body))
	if err != nil {
		return witness.Answer{}, errors.New("it has no usable address")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	switch {
	case errors.Is(err, errPin):
		return witness.Answer{}, errPin
	case err != nil:
		return witness.Answer{}, errors.New("it cannot be reached at " + w.Address.String())
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return witness.Answer{}, errors.New("its answer ends early")
	}
	if res.StatusCode != http.StatusOK {
		return witness.Answer{}, fmt.Errorf("it answers status %d", res.StatusCode)
	}
	var a witness.Answer
	if err := json.Unmarshal(raw, &a); err != nil || len(a.Files) != len(q.Files) {
		return witness.Answer{}, errors.New("its answer is not of the shape expected")
	}
	return a, nil
}
