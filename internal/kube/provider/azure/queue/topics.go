package queue

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// maxBody is the most that a message of Azure Storage holds.
const maxBody = 64 << 10

// event is what Event Grid delivers, in its own schema or as a CloudEvent, of which only
// this is read; one of them, or several in a list:
//
//	{"eventType":"Microsoft.KeyVault.SecretNewVersionCreated","data":{"VaultName":"shop","ObjectType":"Secret","ObjectName":"db"}}
//	{"type":"Microsoft.KeyVault.CertificateNewVersionCreated","specversion":"1.0","data":{…}}
type event struct {
	EventType string `json:"eventType"`
	Type      string `json:"type"`
	Data      struct {
		VaultName  string `json:"VaultName"`
		ObjectType string `json:"ObjectType"`
		ObjectName string `json:"ObjectName"`
	} `json:"data"`
}

// changing are the events behind which something else is read, and what that is. A
// certificate is also a key and a secret.
var changing = map[string][]string{
	"Microsoft.KeyVault.SecretNewVersionCreated":      {"secret"},
	"Microsoft.KeyVault.KeyNewVersionCreated":         {"key"},
	"Microsoft.KeyVault.CertificateNewVersionCreated": {"cert", "key", "secret"},
}

// Topic returns the topic of a key, "" for none: names in a vault are the same in
// capitals.
func Topic(key string) string {
	kind, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		kind, name = "secret", key
	}
	switch kind {
	case "secret", "key", "cert":
		if name != "" {
			return kind + "/" + strings.ToLower(name)
		}
	}
	return ""
}

// Topics returns the topics of a message about a vault.
func Topics(m notice.Message, vault string) (topics []string, err error) {
	if len(m.Body) > maxBody {
		return nil, errs.Newf(errs.TooLarge, "over %d KiB", maxBody>>10)
	}
	events := make([]event, 1)
	if jsontext.Value(m.Body).Kind() == '[' {
		err = json.Unmarshal(m.Body, &events)
	} else {
		err = json.Unmarshal(m.Body, &events[0])
	}
	if err != nil || len(events) == 0 { // its text quotes the message
		return nil, errs.New(errs.Invalid, "not JSON as Event Grid writes it")
	}
	for _, e := range events {
		kind := e.EventType + e.Type // one of them is empty
		if kind == "" {
			return nil, errs.New(errs.Invalid, "not an event of Event Grid: it has no type")
		}
		objects := changing[kind]
		switch {
		case len(objects) > 0 && (e.Data.VaultName == "" || e.Data.ObjectName == ""):
			return nil, errs.New(errs.Invalid, "an event of Key Vault that names no object")
		case strings.EqualFold(e.Data.VaultName, vault):
			for _, o := range objects {
				topics = append(topics, Topic(o+"/"+e.Data.ObjectName))
			}
		}
	}
	return topics, nil
}
