package audit

import (
	"slices"
	"time"
)

// Log is what one device wrote, as far as it can be read again.
type Log struct {
	Device   string // the name it is enabled under, "file/"
	Required bool   // no request was answered without its lines
	// Enabled is when the device was; zero: not known. What its files have of before
	// is hashed with another key, and not all that was asked.
	Enabled time.Time
	// Hash returns what stands in the lines in place of a value. Safe for concurrent
	// use; it stays right when the device is disabled, or enabled anew.
	Hash  func(value string) string
	Files []string // oldest first; the last is written to
	// Why is why it cannot be read; Files is empty then.
	Why string
}

// Logs returns the logs of all devices, required ones first.
func (b *Broker) Logs() []Log {
	sinks := *b.sinks.Load()
	logs := map[bool][]Log{} // by Required
	for _, s := range sinks {
		l := Log{Device: s.name, Required: s.required, Enabled: s.enabled, Hash: s.encoder.Hash}
		if a, ok := s.dev.(Archive); !ok {
			l.Why = "it writes to " + s.dev.Target() + ", which cannot be read again"
		} else if files, err := a.Files(); err != nil {
			l.Why = err.Error()
		} else { // names may look like another device's log that was moved aside
			l.Files = slices.DeleteFunc(files, func(name string) bool {
				return name != s.dev.Target() && slices.ContainsFunc(sinks, func(o *sink) bool { return o.dev.Target() == name })
			})
		}
		logs[l.Required] = append(logs[l.Required], l)
	}
	return append(logs[true], logs[false]...)
}
