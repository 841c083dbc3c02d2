package azure

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var _ provider.Listener = (*store)(nil)

// What stands in the address of a queue, by Azure's rules for names.
var (
	accountNames = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	queuePaths   = regexp.MustCompile(`^/[a-z0-9](-?[a-z0-9]){2,62}$`)
)

// storageScope is for whom tokens for queues are, in every cloud.
const storageScope = "https://storage.azure.com/.default"

// listener is a queue beside a store, with a login of its own: Azure's tokens are for
// one service.
type listener struct {
	notice.Reader
	client *access.Client
	login  *login.Keeper
}

// Topic implements provider.Notifier.
func (l *listener) Topic(key string) string { return queue.Topic(key) }

func (l *listener) close() {
	l.login.Close()
	l.client.Close()
}

// Listen implements provider.Listener. It is called once for a store.
func (s *store) Listen(address string) (provider.Notifier, error) {
	l, err := s.listen(address)
	if err != nil {
		return nil, err
	}
	s.ear = l
	return l, nil
}

// listener reads an address, which must be one of the store's cloud: tokens are sent
// there.
func (p Provider) listener(cfg provider.Config, s Settings, vault, address string) (*listener, error) {
	e, err := environmentOf(s.EnvironmentType)
	if err != nil {
		return nil, err
	}
	example := "https://ACCOUNT." + e.queues + "/QUEUE"
	u, err := notice.URL(address, "azure-queue", example)
	if err != nil {
		return nil, err
	}
	if account, ok := strings.CutSuffix(u.Host, "."+e.queues); !ok || !accountNames.MatchString(account) || !queuePaths.MatchString(u.Path) {
		return nil, errs.Newf(errs.Invalid, "%q is no queue of the store's cloud: give azure-queue:%s", address, example)
	}
	client, err := access.NewQueueClient(p.getenv, u.Host, e.authority)
	if err != nil {
		return nil, err
	}
	source, err := p.source(cfg, s, by{client, storageScope, ofStores})
	if err != nil {
		return nil, err
	}
	l := &listener{client: client, login: login.New("Azure", source, cfg.Clock)}
	client.Refused = func(req *http.Request, token string) {
		_, _ = l.login.Renew(req.Context(), login.Token{Value: redact.FromString(token)}) // what comes of it the next use tells
	}
	q, err := queue.New(queue.Config{
		Credential: access.Credential{Keeper: l.login, Scope: storageScope}, Transport: client, URL: u.String(), Retry: cfg.Retry, Clock: cfg.Clock,
	})
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(vault, ".")
	l.Reader = notice.Reader{Config: notice.Config{
		Queue: q, Topics: func(m notice.Message) ([]string, error) { return queue.Topics(m, name) }, Clock: cfg.Clock, Log: cfg.Log, Name: address,
	}}
	return l, nil
}
