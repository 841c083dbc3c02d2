package events

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is one change that was committed.
type Event struct {
	ID            string            // unique; the same in every delivery
	Type          string            // "kv-v2/data-write"
	Path          string            // with the mount: "secret/data/my-app/config"
	Namespace     string            // path of the namespace it happened in, "" for the root
	Mount         string            // "secret/"
	MountClass    string            // "secret", "auth" or "system"
	MountAccessor string            // "kv_4f0dd1a3"
	Plugin        string            // "kv"
	PluginVersion string            // "2" for KV version 2; "" if the engine has none
	Time          time.Time         // of the commit
	Revision      uint64            // of the store, at which the change can be seen; 0 = unknown
	Metadata      map[string]string // what the engine adds: operation, data_path, current_version, modified …
}

// Message is an Event on its way to subscribers, shared by all of them. It
// must not be changed.
type Message struct {
	Event
	source string
	once   sync.Once
	json   []byte
}

// JSON returns the event as a CloudEvents 1.0 object in the shape of Vault's
// event notifications, made once however many subscribers ask. The caller
// must not change it.
//
//	{"id","source","specversion":"1.0","type":"*",
//	 "data":{"event":{"id","metadata":{"path","revision",…}},"event_type","namespace",
//	         "plugin_info":{"mount_class","mount_accessor","mount_path","plugin","version"}},
//	 "datacontentype":"application/cloudevents","time"}
//
// datacontentype is spelled as Vault spells it. metadata has what the event's
// Metadata has, with path replaced by Event.Path, and revision (a decimal
// number, ours) if it is known.
func (m *Message) JSON() []byte {
	m.once.Do(func() { m.json = m.append(make([]byte, 0, 512)) })
	return m.json
}

func (m *Message) append(b []byte) []byte {
	b = appendMember(append(b, '{'), "id", m.ID)
	b = appendMember(b, "source", m.source)
	b = appendMember(b, "specversion", "1.0")
	b = appendMember(b, "type", "*")
	b = appendMember(append(b, `,"data":{"event":{`...), "id", m.ID)
	b = m.appendMetadata(append(b, `,"metadata":{`...))
	b = appendMember(append(b, '}', '}'), "event_type", m.Type)
	b = appendSome(b, "namespace", m.Namespace)
	b = appendSome(append(b, `,"plugin_info":{`...), "mount_class", m.MountClass)
	b = appendSome(b, "mount_accessor", m.MountAccessor)
	b = appendSome(b, "mount_path", m.Mount)
	b = appendSome(b, "plugin", m.Plugin)
	b = appendSome(b, "version", m.PluginVersion)
	b = appendMember(append(b, '}', '}'), "datacontentype", "application/cloudevents")
	b = append(b, `,"time":"`...)
	b = m.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"', '}')
}

func (m *Message) appendMetadata(b []byte) []byte {
	names := make([]string, 0, len(m.Metadata)+2)
	for name := range m.Metadata {
		if name != "path" && name != "revision" {
			names = append(names, name)
		}
	}
	names = append(names, "path")
	if m.Revision != 0 {
		names = append(names, "revision")
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "path":
			b = appendMember(b, name, m.Path)
		case "revision":
			b = appendMember(b, name, strconv.FormatUint(m.Revision, 10))
		default:
			b = appendMember(b, name, m.Metadata[name])
		}
	}
	return b
}

// appendMember appends a member, after a comma unless an object was just begun.
func appendMember(b []byte, name, value string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b, _ = jsontext.AppendQuote(b, name) // an error only says that what is not UTF-8 was replaced
	b = append(b, ':')
	b, _ = jsontext.AppendQuote(b, value)
	return b
}

// appendSome is appendMember that leaves out an empty value.
func appendSome(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendMember(b, name, value)
}
