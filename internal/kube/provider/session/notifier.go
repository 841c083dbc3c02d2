package session

import (
	"context"
	"strings"
	"sync"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// hookPrefix is what an annotation begins with that names a key instead of a queue.
const hookPrefix = "webhook:"

// listen sets who tells of changes: whom the store's annotation names, else the store
// itself where it can. An annotation that cannot be followed is a failure to open:
// passed over, nobody would know why changes come late.
func (s *session) listen(scope provider.Scope) error {
	own, _ := s.store.(provider.Notifier)
	s.notifier = own
	var err error
	switch address := s.id.changes; {
	case address == "":
		return nil
	case strings.HasPrefix(address, hookPrefix):
		s.hook, err = s.newHook(scope, own)
		s.notifier = s.hook
	default:
		l, ok := s.store.(provider.Listener)
		if !ok {
			err = errs.Newf(errs.Invalid, "provider %s has no queues: give %sSECRET/KEY, or nothing", s.provider, hookPrefix)
			break
		}
		s.notifier, err = l.Listen(address)
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "annotation %s: %w", v1.AnnotationChanges, err)
	}
	return nil
}

// hook is the Notifier of a store of whose changes whoever has a key tells. What it
// has of its own goes on: the topics are the same.
type hook struct {
	own provider.Notifier // nil: it has none
	key func(ctx context.Context) (redact.Secret, error)

	mu    sync.Mutex
	known redact.Secret // the key, once read: a session ends when its Secret changes
}

// newHook reads "webhook:[NAMESPACE/]SECRET/KEY".
func (s *session) newHook(scope provider.Scope, own provider.Notifier) (*hook, error) {
	parts := strings.Split(strings.TrimPrefix(s.id.changes, hookPrefix), "/")
	if len(parts) < 2 || len(parts) > 3 || parts[len(parts)-1] == "" {
		return nil, errs.Newf(errs.Invalid, "%q is neither %sSECRET/KEY nor %sNAMESPACE/SECRET/KEY", s.id.changes, hookPrefix, hookPrefix)
	}
	name, key := parts[len(parts)-2], parts[len(parts)-1]
	var namespace *string
	if len(parts) == 3 {
		namespace = &parts[0]
	}
	ref, err := scope.Ref("the Secret", namespace, name)
	if err != nil {
		return nil, err
	}
	recorder{s.cfg.Cluster, s}.record("Secret", ref) // and no more: nothing of the store is read by it, see access
	return &hook{own: own, key: func(ctx context.Context) (redact.Secret, error) { return s.cfg.Cluster.SecretKey(ctx, ref, key) }}, nil
}

// Topic implements provider.Notifier.
func (h *hook) Topic(key string) string {
	if h.own != nil {
		return h.own.Topic(key)
	}
	return key
}

// Notify implements provider.Notifier. Without a server of its own to ask the store is
// never connected: nobody knows whether all that changes is told.
func (h *hook) Notify(ctx context.Context, report func(provider.Change)) error {
	if h.own != nil {
		return h.own.Notify(ctx, report)
	}
	<-ctx.Done()
	return ctx.Err()
}

// minHookKey bytes are what a key must have: what is shorter could be guessed by who
// has seen a signature.
const minHookKey = 16

func (h *hook) secret(ctx context.Context) (redact.Secret, error) {
	h.mu.Lock()
	known := h.known
	h.mu.Unlock()
	if known.Len() > 0 {
		return known, nil
	}
	key, err := h.key(ctx)
	if err != nil {
		return key, err
	}
	if key.Len() < minHookKey {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the key that signs changes has %d bytes: give it %d or more", key.Len(), minHookKey)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = key
	return key, nil
}

// HookKey returns what signs the reports of changes of store; Unsupported: its
// annotation names none.
func (p *Pool) HookKey(ctx context.Context, store v1.Store) (redact.Secret, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return redact.Secret{}, err
	}
	if s.hook == nil {
		return redact.Secret{}, errs.Newf(errs.Unsupported, "%s takes no reports of changes: its annotation %s names no webhook", s.key, v1.AnnotationChanges)
	}
	return s.hook.secret(ctx)
}

// Changed makes reads of key that begin from now on go to the backend, since somebody
// who is believed says that it changed, and returns its topic; "" when it has none.
func (p *Pool) Changed(ctx context.Context, store v1.Store, key string) (topic string, err error) {
	s, err := p.open(ctx, store)
	if err != nil || s.notifier == nil {
		return "", err
	}
	if topic = s.notifier.Topic(key); topic != "" {
		p.cfg.Observe(s.provider, "Notice", nil)
		s.forget(provider.Change{Topic: topic})
	}
	return topic, nil
}
