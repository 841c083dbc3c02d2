package azure_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice/noticetest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
)

func TestQueueConformance(t *testing.T) {
	var s *azuretest.Server
	fault := func(status int, code string) func() func() {
		return func() func() {
			hit := make(chan struct{}, 1)
			s.Hit(func() {
				select {
				case hit <- struct{}{}:
				default:
				}
			})
			s.Fail("queue", azuretest.Fault{Status: status, Code: code})
			return func() { <-hit; s.Mend() }
		}
	}
	noticetest.Run(t, noticetest.Harness{
		Open: func(t *testing.T) provider.Notifier {
			w := newWorld(t)
			s = w.server
			n, err := w.Open(settings(nil)).(provider.Listener).Listen("azure-queue:" + azuretest.QueueURL)
			if err != nil {
				t.Fatal(err)
			}
			return hyphens{n}
		},
		Change: func(key string) { s.Changed(providertest.Hyphens(key)) },
		Send:   func(body string) { s.Send(body) },
		Left:   func() int { return s.Left() },
		Foreign: []string{
			`{"eventType":"Microsoft.Storage.BlobCreated","data":{"api":"PutBlob"}}`,
			`{"eventType":"Microsoft.KeyVault.SecretNewVersionCreated","data":{"VaultName":"other","ObjectName":"app-config"}}`,
			`{"eventType":"Microsoft.KeyVault.SecretNearExpiry","data":{"VaultName":"shop","ObjectName":"app-config"}}`,
		},
		Garbage:    []string{`{"eventType":7}`, `{"eventType":"Microsoft.KeyVault.SecretNewVersionCreated","data":{"VaultName":"shop"}}`, `[{}]`},
		Throttle:   fault(http.StatusServiceUnavailable, "ServerBusy"),
		Outage:     fault(http.StatusInternalServerError, "InternalError"),
		Refuse:     fault(http.StatusForbidden, "AuthorizationPermissionMismatch"),
		Absent:     fault(http.StatusNotFound, "QueueNotFound"),
		Expire:     func() { s.EndTokens() },
		Permission: "Storage Queue Data Message Processor",
	})
}

// hyphens writes the keys of the suite as a vault has them.
type hyphens struct{ provider.Notifier }

func (h hyphens) Topic(key string) string { return h.Notifier.Topic(providertest.Hyphens(key)) }

// Whose name stands in an address must be one to which a store's tokens may go.
func TestQueueAddresses(t *testing.T) {
	w := newWorld(t)
	l := w.Open(settings(nil)).(provider.Listener)
	for _, bad := range []string{
		"", "azure-queue:", azuretest.QueueURL, "sqs:" + azuretest.QueueURL, "azure-queue:http://shopstorage.queue.core.windows.net/changes",
		"azure-queue:https://shopstorage.queue.core.windows.net.evil.example/changes", "azure-queue:https://evil.example/changes",
		"azure-queue:https://shopstorage.queue.core.windows.net@evil.example/changes", "azure-queue:https://a.b.queue.core.windows.net/changes",
		"azure-queue:https://shopstorage.queue.core.usgovcloudapi.net/changes", "azure-queue:https://shopstorage.queue.core.windows.net:8443/changes",
		"azure-queue:https://shopstorage.queue.core.windows.net/changes/x", "azure-queue:https://shopstorage.queue.core.windows.net/changes?sig=canary",
		"azure-queue:https://shopstorage.queue.core.windows.net/", "azure-queue:https://shopstorage.queue.core.windows.net/-x-",
	} {
		if n, err := l.Listen(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", bad, n, err)
		}
	}
	gov := w.Open(settings(func(s *azure.Settings) {
		s.EnvironmentType, s.VaultURL = "USGovernmentCloud", "https://shop.vault.usgovcloudapi.net"
	}))
	if _, err := gov.(provider.Listener).Listen("azure-queue:https://shopstorage.queue.core.usgovcloudapi.net/changes"); err != nil {
		t.Error(err)
	}
}

// In each schema, and however a name is written, the topic of a key is among those of
// the message.
func TestTopics(t *testing.T) {
	created := func(typ, kind, vault, name string) string {
		return `{"` + typ + `":"Microsoft.KeyVault.` + kind + `NewVersionCreated","data":{"VaultName":"` + vault + `","ObjectType":"` + kind + `","ObjectName":"` + name + `"}}`
	}
	for name, c := range map[string]struct {
		key, body string
		want      bool
	}{
		"a secret":         {"db", created("eventType", "Secret", "shop", "db"), true},
		"with its kind":    {"secret/db", created("eventType", "Secret", "shop", "db"), true},
		"as a CloudEvent":  {"db", created("type", "Secret", "shop", "db"), true},
		"in capitals":      {"DB", created("type", "Secret", "SHOP", "Db"), true},
		"a list":           {"db", "[" + created("type", "Key", "shop", "x") + "," + created("type", "Secret", "shop", "db") + "]", true},
		"a key":            {"key/db", created("type", "Key", "shop", "db"), true},
		"a key, no secret": {"db", created("type", "Key", "shop", "db"), false},
		"a certificate":    {"cert/db", created("type", "Certificate", "shop", "db"), true},
		"its key":          {"key/db", created("type", "Certificate", "shop", "db"), true},
		"its secret":       {"db", created("type", "Certificate", "shop", "db"), true},
		"another vault":    {"db", created("type", "Secret", "shop2", "db"), false},
	} {
		topics, err := queue.Topics(notice.Message{Body: []byte(c.body)}, "shop")
		if err != nil || slices.Contains(topics, queue.Topic(c.key)) != c.want {
			t.Errorf("%s: topics %q (%v), want %q: %v", name, topics, err, queue.Topic(c.key), c.want)
		}
	}
	for _, none := range []string{"", "secret/", "other/db"} {
		if topic := queue.Topic(none); topic != "" {
			t.Errorf("%q has the topic %q", none, topic)
		}
	}
}

// Nothing of a message is in an error.
func FuzzTopics(f *testing.F) {
	f.Add(`{"eventType":"Microsoft.KeyVault.SecretNewVersionCreated","data":{"VaultName":"shop","ObjectName":"db"}}`)
	f.Add(`[{"type":"x"}]`)
	f.Add("[")
	f.Fuzz(func(t *testing.T, body string) {
		topics, err := queue.Topics(notice.Message{Body: []byte(body)}, "shop")
		if err != nil && (len(topics) > 0 || len(body) > 40 && strings.Contains(err.Error(), body)) || slices.Contains(topics, "") {
			t.Errorf("%q and %v", topics, err)
		}
	})
}
