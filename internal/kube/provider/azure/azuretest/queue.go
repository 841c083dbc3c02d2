package azuretest

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// QueueURL is the address of the only queue.
const (
	QueueURL  = "https://" + queueHost + "/changes"
	queueHost = "shopstorage.queue.core.windows.net"
	storage   = "https://storage.azure.com"
)

// message is one that is not deleted. Delivered, it is not delivered again.
type message struct {
	XMLName   xml.Name `xml:"QueueMessage"`
	ID        string   `xml:"MessageId"`
	Receipt   string   `xml:"PopReceipt"`
	Text      string   `xml:"MessageText"`
	delivered bool
}

// Send puts a message into the queue as Event Grid does, in base64.
func (s *Server) Send(body string) {
	s.with(func() {
		s.serial++
		id := "m-" + strconv.Itoa(s.serial)
		s.messages = append(s.messages, &message{ID: id, Receipt: "receipt+of/" + id, Text: base64.StdEncoding.EncodeToString([]byte(body))})
	})
}

// Changed sends what Event Grid does behind a new version of a secret.
func (s *Server) Changed(name string) {
	s.Send(`{"id":"1","topic":"/subscriptions/1/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/shop","subject":"` + name + `","eventType":"Microsoft.KeyVault.SecretNewVersionCreated",` +
		`"data":{"Id":"` + VaultURL + `/secrets/` + name + `/1","VaultName":"shop","ObjectType":"Secret","ObjectName":"` + name + `","Version":"1"},"dataVersion":"1","metadataVersion":"1"}`)
}

// Left is how many messages are not deleted.
func (s *Server) Left() (n int) {
	s.with(func() { n = len(s.messages) })
	return n
}

// Hit has f called whenever a fault "queue" is answered.
func (s *Server) Hit(f func()) { s.with(func() { s.hit = f }) }

// serveQueue is Azure Storage's: it answers in XML. s.mu is held.
func (s *Server) serveQueue(w http.ResponseWriter, r *http.Request) {
	s.counts["queue"]++
	refuse := func(status int, code string) {
		w.Header().Set("X-Ms-Error-Code", code)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>canary: what was sent</Message></Error>"))
	}
	if f := s.faults["queue"]; f != nil {
		if s.hit != nil {
			s.hit()
		}
		refuse(f.Status, f.Code)
		return
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if t, ok := s.tokens[given]; !ok || t.of != storage || !s.now().Before(t.expires) {
		w.Header().Set("WWW-Authenticate", "Bearer authorization_uri=https://login.microsoftonline.com/"+Tenant+"/oauth2/authorize resource_id="+storage)
		refuse(http.StatusUnauthorized, "InvalidAuthenticationInfo")
		return
	}
	id, single := strings.CutPrefix(r.URL.Path, "/changes/messages/")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/changes/messages":
		s.dequeue(w, r)
	case r.Method == http.MethodDelete && single:
		i := slices.IndexFunc(s.messages, func(m *message) bool {
			return m.ID == id && m.delivered && m.Receipt == r.URL.Query().Get("popreceipt")
		})
		if i < 0 {
			refuse(http.StatusNotFound, "MessageNotFound")
			return
		}
		s.messages = slices.Delete(s.messages, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(http.StatusNotFound, "QueueNotFound")
	}
}

func (s *Server) dequeue(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("numofmessages"))
	if err != nil {
		limit = 1
	}
	list := struct {
		XMLName  xml.Name `xml:"QueueMessagesList"`
		Messages []*message
	}{}
	for _, m := range s.messages {
		if !m.delivered && len(list.Messages) < limit {
			m.delivered = true
			list.Messages = append(list.Messages, m)
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(list)
}
