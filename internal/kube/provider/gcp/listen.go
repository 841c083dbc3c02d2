package gcp

import (
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/secretmanager"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

var _ provider.Listener = (*store)(nil)

// listener is a queue beside a store, with its login.
type listener struct {
	notice.Reader
	queue *queue.Queue
}

// Topic implements provider.Notifier. It is the secret's id.
func (l *listener) Topic(key string) string {
	if !secretmanager.ValidID(key) {
		return ""
	}
	return key
}

// Listen implements provider.Listener. It is called once for a store.
func (s *store) Listen(address string) (provider.Notifier, error) {
	cfg := s.ear
	cfg.Login, cfg.Address = s.login, address
	q, err := queue.New(cfg)
	if err != nil {
		return nil, err
	}
	at := queue.Place{Project: s.project, Location: s.location}
	s.listener = &listener{queue: q, Reader: notice.Reader{Config: notice.Config{
		Queue: q, Topics: func(m notice.Message) ([]string, error) { return queue.Topics(m, at) }, Clock: cfg.Clock, Log: s.log, Name: address,
	}}}
	return s.listener, nil
}
