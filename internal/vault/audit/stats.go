package audit

import "github.com/strongkeep/strongkeep/internal/vault/audit/histogram"

// Stats are one device's counters since it was enabled.
type Stats struct {
	Path        string
	Type        string
	Target      string
	Required    bool
	Failing     bool                // the last group could not be written
	Queued      int                 // bytes that wait to be written now
	QueuedLines int                 // likewise lines
	Lines       uint64              // written
	Bytes       uint64              // written
	Groups      uint64              // written; each is one write and one sync
	Failures    uint64              // groups that could not be written
	Lost        uint64              // lines refused, because of a failure or a full queue
	Dropped     uint64              // lines a best-effort device never got
	LastError   string              // the last failure's; "" = there was none
	Write       histogram.Histogram // how long groups took to write and sync, failed ones too
	Wait        histogram.Histogram // how long requests waited
}
