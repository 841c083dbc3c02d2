package gcptest

import (
	"context"
	"encoding/json"
	"slices"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Subscription is the only one, which QueueAddress names.
const (
	Subscription = "projects/my-project/subscriptions/changes"
	QueueAddress = "pubsub:" + Subscription
)

// subscriber is Pub/Sub. Pull waits, so none of its methods holds the Server's lock all
// the time.
type subscriber struct {
	pubsubpb.UnimplementedSubscriberServer
	s *Server
}

// message is one that is not acknowledged. Delivered, it is not delivered again.
type message struct {
	*pubsubpb.PubsubMessage
	receipt string // "": not delivered
}

// Send puts a message into the subscription: data, or the attributes of
// {"attributes":{"eventType":"SECRET_VERSION_ADD"}}.
func (s *Server) Send(body string) {
	m := &pubsubpb.PubsubMessage{Data: []byte(body)}
	var of struct {
		Attributes map[string]string `json:"attributes"`
	}
	if json.Unmarshal([]byte(body), &of) == nil && of.Attributes != nil {
		m.Data, m.Attributes = []byte("canary-data"), of.Attributes
	}
	s.publish(m)
}

// Changed sends what Secret Manager does when a version is added to a secret: names are
// those by the project's number.
func (s *Server) Changed(id string) {
	name := "projects/" + Number + "/secrets/" + id
	s.publish(&pubsubpb.PubsubMessage{
		Data:       []byte(`{"name":"` + name + `/versions/2","createTime":"2026-01-02T03:04:05Z","state":"ENABLED"}`),
		Attributes: map[string]string{"eventType": "SECRET_VERSION_ADD", "dataFormat": "JSON_API_V1", "secretId": name, "versionId": name + "/versions/2"},
	})
}

func (s *Server) publish(m *pubsubpb.PubsubMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	m.MessageId = itoa(s.sent)
	s.messages = append(s.messages, &message{PubsubMessage: m})
	s.wake()
}

// wake has every Pull that waits look again. s.mu is held.
func (s *Server) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

// Left is how many messages are not acknowledged.
func (s *Server) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// consumes is what a call of a subscription is refused with. s.mu is held.
func (s *Server) consumes(method, name string) error {
	if f := s.faults[method]; f != nil {
		if s.hit != nil {
			s.hit()
		}
		return status.Error(f.Code, f.Message)
	}
	switch {
	case s.forbidden["pubsub.subscriptions.consume"]:
		return status.Error(codes.PermissionDenied, "User not authorized to perform this action.")
	case name != Subscription:
		return status.Error(codes.NotFound, "Resource not found (resource="+name+").")
	}
	return nil
}

// Pull implements pubsubpb.SubscriberServer: it waits for a message until the caller
// does not, and says then that the time was over.
func (p *subscriber) Pull(ctx context.Context, r *pubsubpb.PullRequest) (*pubsubpb.PullResponse, error) {
	for {
		p.s.mu.Lock()
		err := p.s.consumes("Pull", r.GetSubscription())
		var out pubsubpb.PullResponse
		for _, m := range p.s.messages {
			if err == nil && m.receipt == "" && len(out.ReceivedMessages) < int(r.GetMaxMessages()) {
				m.receipt = "receipt+of/" + m.GetMessageId()
				out.ReceivedMessages = append(out.ReceivedMessages, &pubsubpb.ReceivedMessage{AckId: m.receipt, Message: m.PubsubMessage})
			}
		}
		news := p.s.news
		p.s.mu.Unlock()
		if err != nil || len(out.ReceivedMessages) > 0 || r.GetReturnImmediately() { //nolint:staticcheck // what the store sends
			return &out, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// Lost has messages that were delivered and not acknowledged delivered again.
func (s *Server) Lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		m.receipt = ""
	}
	s.wake()
}

// Acknowledge implements pubsubpb.SubscriberServer. What is acknowledged already is
// passed over.
func (p *subscriber) Acknowledge(_ context.Context, r *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if err := p.s.consumes("Acknowledge", r.GetSubscription()); err != nil {
		return nil, err
	}
	p.s.messages = slices.DeleteFunc(p.s.messages, func(m *message) bool {
		return m.receipt != "" && slices.Contains(r.GetAckIds(), m.receipt)
	})
	return &emptypb.Empty{}, nil
}
