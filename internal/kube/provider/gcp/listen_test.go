package gcp_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice/noticetest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
)

// event is a message of Secret Manager, as gcptest.Server.Send takes it.
func event(typ, secret string) string {
	return `{"attributes":{"eventType":"` + typ + `","dataFormat":"JSON_API_V1","secretId":"` + secret + `"}}`
}

func TestQueueConformance(t *testing.T) {
	var s *gcptest.Server
	fault := func(method string, f gcptest.Fault) func() func() {
		return func() func() {
			hit := make(chan struct{}, 1)
			s.Hit(func() {
				select {
				case hit <- struct{}{}:
				default:
				}
			})
			s.Fail(method, f)
			return func() { <-hit; s.Mend() }
		}
	}
	noticetest.Run(t, noticetest.Harness{
		Open: func(t *testing.T) provider.Notifier {
			w := newWorld(t)
			s = w.server
			n, err := w.Open(settings(nil)).(provider.Listener).Listen(gcptest.QueueAddress)
			if err != nil {
				t.Fatal(err)
			}
			return hyphens{n}
		},
		Change: func(key string) { s.Changed(providertest.Hyphens(key)) },
		Send:   func(body string) { s.Send(body) },
		Left:   func() int { return s.Left() },
		Foreign: []string{
			`{"attributes":{"eventType":"TOPIC_CONFIGURED"}}`, `{"attributes":{"eventType":"OBJECT_DELETE"}}`,
			event("SECRET_ROTATE", "projects/"+gcptest.Number+"/secrets/app-config"),
			event("SECRET_VERSION_ADD", "projects/another-project/secrets/app-config"),
			event("SECRET_VERSION_ADD", "projects/"+gcptest.Number+"/locations/europe-west3/secrets/app-config"),
		},
		Garbage:    []string{`{"attributes":{"secretId":"canary-in-a-message"}}`, event("SECRET_DELETE", "canary-in-a-message"), event("SECRET_DELETE", "projects/p/secrets/"), event("SECRET_UPDATE", "")},
		Throttle:   fault("Pull", gcptest.Fault{Code: codes.ResourceExhausted, Message: "Quota exceeded"}),
		Outage:     fault("Pull", gcptest.Fault{Code: codes.Unavailable, Message: "canary"}),
		Refuse:     func() func() { s.Forbid("pubsub.subscriptions.consume"); return s.Mend },
		Absent:     fault("Pull", gcptest.Fault{Code: codes.NotFound, Message: "Resource not found (resource=changes)."}),
		Expire:     func() { s.EndTokens() },
		Permission: "roles/pubsub.subscriber",
	})
}

// hyphens writes the keys of the suite as Secret Manager has them.
type hyphens struct{ provider.Notifier }

func (h hyphens) Topic(key string) string { return h.Notifier.Topic(providertest.Hyphens(key)) }

// A queue is read by who the store is, and by nobody else.
func TestQueueIdentity(t *testing.T) {
	w := newWorld(t)
	n, err := w.Open(settings(nil)).(provider.Listener).Listen(gcptest.QueueAddress)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan provider.Change, 1)
	go func() { _ = n.Notify(t.Context(), func(c provider.Change) { heard <- c }) }()
	if c := <-heard; !c.Connected {
		t.Errorf("%+v is reported first", c)
	}
	if callers := w.server.Callers(); !slices.Equal(callers, []string{reader}) {
		t.Errorf("callers %q, want %q", callers, reader)
	}
}

func TestQueueAddresses(t *testing.T) {
	w := newWorld(t)
	l := w.Open(settings(nil)).(provider.Listener)
	for _, bad := range []string{
		"", "pubsub:", gcptest.Subscription, "sqs:" + gcptest.Subscription, "pubsub:projects/p/topics/changes", "pubsub:projects//subscriptions/changes",
		"pubsub:projects/p/subscriptions/", "pubsub:projects/p/subscriptions/goog changes", "pubsub:projects/p/subscriptions/a/b", "pubsub:projects/p/subscriptions/1changes",
		"pubsub:https://pubsub.googleapis.com/v1/" + gcptest.Subscription, "pubsub:projects/../subscriptions/changes/x", "pubsub:projects/p/subscriptions/changes\n",
	} {
		if n, err := l.Listen(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", bad, n, err)
		}
	}
	for _, good := range []string{"pubsub:projects/another-project/subscriptions/changes.of-shop_1", "pubsub:projects/example.com:shop/subscriptions/changes"} {
		if _, err := w.Open(settings(nil)).(provider.Listener).Listen(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	w.getenv = func(name string) string {
		if name == "GCP_PUBSUB_ENDPOINT" {
			return "http://pubsub.example"
		}
		return w.server.Getenv(name)
	}
	if _, err := w.Open(settings(nil)).(provider.Listener).Listen(gcptest.QueueAddress); !errs.Is(err, errs.Invalid) {
		t.Errorf("tokens would go in the clear: %v", err)
	}
}

// Events behind which something else is read name the key of a store that may have it.
func TestTopics(t *testing.T) {
	regional := gcp.Settings{ProjectID: gcptest.Project, Location: "europe-west3"}
	for name, c := range map[string]struct {
		event, secret string
		of            gcp.Settings
		want          bool
	}{
		"a version":           {"SECRET_VERSION_ADD", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"enabled":             {"SECRET_VERSION_ENABLE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"disabled":            {"SECRET_VERSION_DISABLE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"destroyed":           {"SECRET_VERSION_DESTROY", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"to be destroyed":     {"SECRET_VERSION_DESTROY_SCHEDULED", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"made":                {"SECRET_CREATE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"labels":              {"SECRET_UPDATE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"deleted":             {"SECRET_DELETE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"by the id":           {"SECRET_DELETE", "projects/my-project/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, true},
		"another id":          {"SECRET_DELETE", "projects/other/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, false},
		"another number":      {"SECRET_DELETE", "projects/2/secrets/db", gcp.Settings{ProjectID: gcptest.Number}, false},
		"the number":          {"SECRET_DELETE", "projects/123456789012/secrets/db", gcp.Settings{ProjectID: gcptest.Number}, true},
		"project unknown":     {"SECRET_DELETE", "projects/2/secrets/db", gcp.Settings{}, true},
		"another secret":      {"SECRET_DELETE", "projects/123456789012/secrets/db2", gcp.Settings{ProjectID: gcptest.Project}, false},
		"regional":            {"SECRET_DELETE", "projects/1/locations/europe-west3/secrets/db", regional, true},
		"another region":      {"SECRET_DELETE", "projects/1/locations/europe-west4/secrets/db", regional, false},
		"region not told":     {"SECRET_DELETE", "projects/1/secrets/db", regional, true},
		"regional, not ours":  {"SECRET_DELETE", "projects/1/locations/europe-west3/secrets/db", gcp.Settings{ProjectID: gcptest.Project}, false},
		"a reminder":          {"SECRET_ROTATE", "projects/1/secrets/db", gcp.Settings{}, false},
		"a kind of next year": {"SECRET_TAG", "projects/1/secrets/db", gcp.Settings{}, false},
	} {
		m := notice.Message{Attributes: map[string]string{"eventType": c.event, "secretId": c.secret}}
		topics, err := queue.Topics(m, queue.Place{Project: c.of.ProjectID, Location: c.of.Location})
		if err != nil || slices.Contains(topics, "db") != c.want {
			t.Errorf("%s: topics %q (%v)", name, topics, err)
		}
	}
}

// Nothing of a message is in an error.
func FuzzTopics(f *testing.F) {
	f.Add("SECRET_VERSION_ADD", "projects/123456789012/secrets/db")
	f.Add("SECRET_DELETE", "projects/1/locations/europe-west3/secrets/db")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, typ, secret string) {
		topics, err := queue.Topics(notice.Message{Attributes: map[string]string{"eventType": typ, "secretId": secret}}, queue.Place{Project: gcptest.Project})
		if err != nil && (len(topics) > 0 || len(secret) > 40 && strings.Contains(err.Error(), secret)) || slices.Contains(topics, "") {
			t.Errorf("%q and %v", topics, err)
		}
	})
}
