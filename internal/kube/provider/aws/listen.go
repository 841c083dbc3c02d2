package aws

import (
	"log/slog"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

var _ provider.Listener = (*store)(nil)

// ear is what a store listens with.
type ear struct {
	client   wire.Client
	endpoint string // of SQS; AWS's own when empty
	clock    clock.Clock
	log      *slog.Logger
}

// listener is a queue beside a store.
type listener struct {
	notice.Reader
	topic func(key string) string
}

// Topic implements provider.Notifier.
func (l *listener) Topic(key string) string {
	if key == "" {
		return ""
	}
	return l.topic(key)
}

// Listen implements provider.Listener.
func (s *store) Listen(address string) (provider.Notifier, error) {
	q, err := queue.New(queue.Config{Client: s.ear.client, Access: s.access, Endpoint: s.ear.endpoint, Address: address})
	if err != nil {
		return nil, err
	}
	prefix := s.place.prefix
	l := &listener{topic: func(key string) string { return queue.SecretTopic(prefix + key) }}
	topics := queue.Secrets
	if s.place.service == "ssm" {
		l.topic, topics = func(key string) string { return queue.ParameterTopic(prefix + key) }, queue.Parameters
	}
	l.Reader = notice.Reader{Config: notice.Config{Queue: q, Topics: topics, Clock: s.ear.clock, Log: s.ear.log, Name: address}}
	return l, nil
}
