package aws_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice/noticetest"
)

const address = "sqs:" + awstest.QueueURL

func listen(t *testing.T, st provider.Store) provider.Notifier {
	t.Helper()
	n, err := st.(provider.Listener).Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQueueConformance(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		var s *awstest.Server
		fault := func(action string, f awstest.Fault) func() func() {
			return func() func() {
				hit := make(chan struct{}, 1)
				f.Hit = hit
				s.Fail(action, f)
				return func() { <-hit; s.Mend() }
			}
		}
		h := noticetest.Harness{
			Open: func(t *testing.T) provider.Notifier {
				w := newWorld(t)
				s = w.server
				s.AddRole(role("reader"), awstest.Role{WebToken: webToken + ":team/reader"})
				return listen(t, w.Open(settings(service, func(s *aws.Settings) { s.Auth = byAccount("reader") })))
			},
			Change: func(key string) {
				if service == aws.ParameterStore {
					s.ParameterChanged("/" + key)
					return
				}
				s.Changed(key)
			},
			Send:     func(body string) { s.Send(body) },
			Left:     func() int { return s.Left() },
			Foreign:  []string{`{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{"state":"stopped"}}`},
			Garbage:  []string{`{"source":7}`, `{"source":"aws.ssm","source":"aws.ssm"}`, `{"Type":"Notification","Message":"canary-in-a-message"}`, `{"Type":"Notification"}`},
			Throttle: fault("", awstest.Fault{Status: http.StatusBadRequest, Code: "RequestThrottled"}),
			Outage:   fault("", awstest.Fault{Status: http.StatusInternalServerError, Code: "InternalFailure"}),
			Refuse:   fault("ReceiveMessage", awstest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException"}),
			Absent:   fault("ReceiveMessage", awstest.Fault{Status: http.StatusBadRequest, Code: "com.amazonaws.sqs#QueueDoesNotExist"}),
			Expire:   func() { s.EndSessions() }, Permission: "sqs:ReceiveMessage",
		}
		if service == aws.SecretsManager {
			h.Garbage = append(h.Garbage, `{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue"}}`,
				`{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue","requestParameters":{"secretId":["canary-in-a-message"]}}}`)
			h.Foreign = append(h.Foreign, `{"source":"aws.secretsmanager","detail":{"eventName":"GetSecretValue","requestParameters":{"secretId":"app/config"}}}`)
		} else {
			h.Garbage = append(h.Garbage, `{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{}}`)
		}
		noticetest.Run(t, h)
	})
}

// What may read the queue and not delete from it is told: every message would come
// again, for ever.
func TestQueueWithoutDelete(t *testing.T) {
	w := newWorld(t)
	n := listen(t, w.Open(settings(aws.SecretsManager, nil)))
	w.server.Fail("DeleteMessageBatch", awstest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException"})
	w.server.Changed("app/config")
	var topics []string
	err := n.Notify(t.Context(), func(c provider.Change) { topics = append(topics, c.Topic) })
	w.Refused(err, errs.Unsupported, "sqs:DeleteMessage")
	if !slices.Contains(topics, "app/config") {
		t.Errorf("%q is reported", topics)
	}
}

// Whose name stands in an address must be one to which a store's credentials may go.
func TestQueueAddresses(t *testing.T) {
	w := newWorld(t)
	l := w.Open(settings(aws.SecretsManager, nil)).(provider.Listener)
	for _, bad := range []string{
		"", "sqs:", "pubsub:projects/p/subscriptions/s", awstest.QueueURL, "sqs:http://sqs.eu-central-1.amazonaws.com/123456789012/q",
		"sqs:https://sqs.us-east-1.amazonaws.com/123456789012/q", "sqs:https://sqs.eu-central-1.evil.example/123456789012/q",
		"sqs:https://sqs.eu-central-1.amazonaws.com.evil.example/123456789012/q", "sqs:https://sqs.eu-central-1.amazonaws.com@evil.example/123456789012/q",
		"sqs:https://sqs.eu-central-1.amazonaws.com:8443/123456789012/q", "sqs:https://sqs.eu-central-1.amazonaws.com/1/q",
		"sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/q/x", "sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/q?x=y",
		"sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/%2e%2e", "sqs:https://[::1]/123456789012/q", "sqs:%zz",
	} {
		if n, err := l.Listen(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", bad, n, err)
		}
	}
	if _, ok := w.Open(settings(aws.CertificateManager, nil)).(provider.Listener); ok {
		t.Error("a store of certificates listens to a queue, whose events it does not know")
	}
	for _, good := range []string{address, "sqs:https://sqs.eu-central-1.amazonaws.com.cn/123456789012/changes.fifo"} {
		if _, err := l.Listen(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// However AWS names a secret, the topic of a key is among those of the message.
func TestTopics(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
	sm := func(detail string) string { return `{"source":"aws.secretsmanager","detail":{` + detail + `}}` }
	put := func(id string) string {
		return sm(`"eventName":"PutSecretValue","requestParameters":{"secretId":"` + id + `"}`)
	}
	w := newWorld(t)
	secrets := listen(t, w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Prefix = "" })))
	prefixed := listen(t, w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Prefix = "shop/" })))
	params := listen(t, w.Open(settings(aws.ParameterStore, func(s *aws.Settings) { s.Prefix = "" })))
	for name, c := range map[string]struct {
		n    provider.Notifier
		key  string
		body string
		want bool
	}{
		"by name":              {secrets, "shop/db", put("shop/db"), true},
		"by ARN":               {secrets, "shop/db", put(arn + "shop/db-AbCdEf"), true},
		"by ARN without end":   {secrets, "shop/db", put(arn + "shop/db"), true},
		"key is an ARN":        {secrets, arn + "shop/db-AbCdEf", put("shop/db"), true},
		"both are ARNs":        {secrets, arn + "shop/db-AbCdEf", put(arn + "shop/db-AbCdEf"), true},
		"ends like an ARN":     {secrets, "shop-secret", put("shop-secret"), true},
		"and is one":           {secrets, arn + "shop-secret", put("shop-secret"), true},
		"another":              {secrets, "shop/db", put("shop/api"), false},
		"prefix":               {prefixed, "db", put("shop/db"), true},
		"without prefix":       {prefixed, "db", put("db"), false},
		"rotated":              {secrets, "db", sm(`"eventName":"RotationSucceeded","additionalEventData":{"SecretId":"` + arn + `db-AbCdEf"}`), true},
		"made":                 {secrets, "db", sm(`"eventName":"CreateSecret","requestParameters":{"name":"db"},"responseElements":null`), true},
		"stage":                {secrets, "db", sm(`"eventName":"UpdateSecretVersionStage","requestParameters":{"secretId":"db"}`), true},
		"refused to who asked": {secrets, "db", sm(`"eventName":"PutSecretValue","errorCode":"AccessDenied","requestParameters":{"secretId":"db"}`), false},
		"read":                 {secrets, "db", sm(`"eventName":"BatchGetSecretValue","requestParameters":{"secretId":"db"}`), false},
		"by SNS":               {secrets, "db", `{"Type":"Notification","Message":"{\"source\":\"aws.secretsmanager\",\"detail\":{\"eventName\":\"DeleteSecret\",\"requestParameters\":{\"secretId\":\"db\"}}}"}`, true},
		"parameter":            {params, "/shop/db", `{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"/shop/db","operation":"Delete"}}`, true},
		"parameter's ARN":      {params, "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/db", `{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"/shop/db"}}`, true},
		"flat parameter":       {params, "/db", `{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"db"}}`, true},
		"other of SSM":         {params, "db", `{"source":"aws.ssm","detail-type":"Parameter Store Policy Action","detail":{"name":"db"}}`, false},
		"secret of that name":  {params, "db", put("db"), false},
		"parameter, secrets":   {secrets, "db", `{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"db"}}`, false},
	} {
		read := queue.Secrets
		if c.n == params {
			read = queue.Parameters
		}
		topics, err := read(notice.Message{Body: []byte(c.body)})
		if err != nil || slices.Contains(topics, c.n.Topic(c.key)) != c.want {
			t.Errorf("%s: topics %q (%v), of the key %q; want %v", name, topics, err, c.n.Topic(c.key), c.want)
		}
	}
}

// Nothing of a message is in an error, and no topic is empty: that would be everybody's.
func FuzzTopics(f *testing.F) {
	for _, body := range []string{
		`{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue","requestParameters":{"secretId":"shop/db"}}}`,
		`{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"/"}}`,
		`{"Type":"Notification","Message":"{}"}`, `[`, ``,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, read := range []func(notice.Message) ([]string, error){queue.Secrets, queue.Parameters} {
			topics, err := read(notice.Message{Body: []byte(body)})
			if err != nil && (len(topics) > 0 || len(body) > 40 && strings.Contains(err.Error(), body)) {
				t.Errorf("%q and %v", topics, err)
			}
		}
	})
}
