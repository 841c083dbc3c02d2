package awstest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// QueueURL is the address of the only queue.
const QueueURL = "https://sqs." + Region + ".amazonaws.com/123456789012/changes"

// message is one that is not deleted. Delivered, it is not delivered again.
type message struct {
	id, body  string
	delivered bool
}

// Send puts a message into the queue, which takes nothing but text.
func (s *Server) Send(body string) {
	body = strings.ToValidUTF8(body, "?")
	s.with(func() {
		s.serial++
		s.messages = append(s.messages, &message{id: "m-" + strconv.Itoa(s.serial), body: body})
		s.wakeQueue()
	})
}

// Changed sends what EventBridge does behind a PutSecretValue.
func (s *Server) Changed(secret string) {
	s.Send(`{"version":"0","source":"aws.secretsmanager","detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"` + Region + `","detail":{` +
		`"eventSource":"secretsmanager.amazonaws.com","eventName":"PutSecretValue","readOnly":false,"requestParameters":{"secretId":` + quote(secret) + `,"clientRequestToken":"1"},` +
		`"responseElements":{"arn":` + quote("arn:aws:secretsmanager:"+Region+":123456789012:secret:"+secret+"-AbCdEf") + `}}}`)
}

// ParameterChanged sends what EventBridge does behind a PutParameter.
func (s *Server) ParameterChanged(name string) {
	s.Send(`{"version":"0","source":"aws.ssm","detail-type":"Parameter Store Change","region":"` + Region + `","detail":{"operation":"Update","name":` + quote(name) + `,"type":"SecureString"}}`)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Left is how many messages are not deleted.
func (s *Server) Left() (n int) {
	s.with(func() { n = len(s.messages) })
	return n
}

// wakeQueue wakes who waits for a message. s.mu is held.
func (s *Server) wakeQueue() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// awaitMessage holds a request back as long as it waits for a message.
func (s *Server) awaitMessage(r *http.Request, target string, body []byte) {
	var in struct{ WaitTimeSeconds int }
	if target != "AmazonSQS.ReceiveMessage" || json.Unmarshal(body, &in) != nil || in.WaitTimeSeconds == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(in.WaitTimeSeconds)*time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		wake, ready := s.wake, s.down || len(s.faults) > 0
		for _, m := range s.messages {
			ready = ready || !m.delivered
		}
		s.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) sqsActions() map[string]func(request) (any, *failure) {
	return map[string]func(request) (any, *failure){"ReceiveMessage": s.receive, "DeleteMessageBatch": s.deleteMessages}
}

func (s *Server) receive(r request) (any, *failure) {
	var in struct {
		QueueURL            string `json:"QueueUrl"`
		MaxNumberOfMessages int
	}
	if json.Unmarshal(r.body, &in) != nil || in.QueueURL != QueueURL {
		return nil, refuse("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
	}
	out := []map[string]string{}
	for _, m := range s.messages {
		if m.delivered || len(out) == in.MaxNumberOfMessages {
			continue
		}
		m.delivered = true
		sum := md5.Sum([]byte(m.body))
		out = append(out, map[string]string{"MessageId": m.id, "ReceiptHandle": "receipt of " + m.id, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:])})
	}
	return map[string]any{"Messages": out}, nil
}

func (s *Server) deleteMessages(r request) (any, *failure) {
	var in struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []struct {
			ID            string `json:"Id"`
			ReceiptHandle string
		}
	}
	if json.Unmarshal(r.body, &in) != nil || in.QueueURL != QueueURL || len(in.Entries) == 0 || len(in.Entries) > 10 {
		return nil, refuse("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
	}
	done := []map[string]string{}
	for _, e := range in.Entries {
		for i, m := range s.messages {
			if m.delivered && "receipt of "+m.id == e.ReceiptHandle {
				s.messages = append(s.messages[:i:i], s.messages[i+1:]...)
				break
			}
		}
		done = append(done, map[string]string{"Id": e.ID})
	}
	return map[string]any{"Successful": done, "Failed": []any{}}, nil
}

// isQueue reports whether a request is one to SQS.
func isQueue(target string) bool { return strings.HasPrefix(target, "AmazonSQS.") }
