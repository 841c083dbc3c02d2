package probe

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/application"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/backend"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/file"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// longest bounds one Probe: what has not answered by then is not known.
const longest = 30 * time.Second

// Question is what is asked.
type Question struct {
	Rotation string // namespace/name
	Version  string
	Graph    *consumer.Graph
	Sessions *target.Sessions // nil where the backend does not tell
}

// Config is what a Prober needs.
type Config struct {
	Applications *application.Prober
	Files        *file.Prober // nil: there are no witnesses
	// Contents returns what reads Secrets that hold a version of the credential at
	// Location, for one question.
	Contents func(q Question) evidence.Contents
}

// Prober asks. It is safe for concurrent use and keeps nothing.
type Prober struct{ Config }

// New returns a Prober.
func New(c Config) *Prober { return &Prober{c} }

// Nodes reports whether there is a witness on the nodes.
func (p *Prober) Nodes(ctx context.Context) bool { return p.Files != nil && p.Files.There(ctx) }

// Probe returns what was reported, by pod. What could not be asked is Unknown in
// the answer, and never an error.
func (p *Prober) Probe(ctx context.Context, q Question) map[types.UID]evidence.Found {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	contents := p.Contents(q)
	var words, files map[types.UID]evidence.Word
	var wg sync.WaitGroup
	wg.Go(func() {
		words = p.Applications.Ask(ctx, application.Question{Rotation: q.Rotation, Version: q.Version, Fed: q.Graph.Secrets, Contents: contents}, q.Graph.Pods)
	})
	if p.Files != nil {
		wg.Go(func() {
			files = p.Files.Ask(ctx, file.Question{Fed: q.Graph.Secrets, Contents: contents}, q.Graph.Pods)
		})
	}
	wg.Wait()
	out := make(map[types.UID]evidence.Found, len(q.Graph.Pods))
	for uid, w := range words {
		f := out[uid]
		f.Application = w
		out[uid] = f
	}
	for uid, w := range files {
		f := out[uid]
		f.File = w
		out[uid] = f
	}
	if q.Sessions != nil {
		for uid, w := range backend.Match(q.Graph.Pods, *q.Sessions) {
			f := out[uid]
			f.Backend = w
			out[uid] = f
		}
	}
	return out
}
