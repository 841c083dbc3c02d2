package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// MinStatement is the size in bytes that every statement can be cut to, whatever
// its lists hold.
const MinStatement = 32 << 10

// maxText is how much of a text stays that is cut, in bytes.
const maxText = 1024

// EncodeWithin is Encode for at most limit bytes, MinStatement at least. What is
// too large loses pods that are proven and Secrets, of which there are more first;
// then the ends of the other lists, pods without proof late; then those of long
// texts. The statement
// says of each list how long it was, and what it was by a digest.
func (s Statement) EncodeWithin(limit int) (json.RawMessage, error) {
	s.Schema = Schema
	if err := s.check(); err != nil {
		return nil, err
	}
	s.Omitted = maps.Clone(s.Omitted)
	for {
		raw, err := json.Marshal(s)
		if err != nil {
			return nil, errs.Newf(errs.Internal, "encoding the statement of %s: %w", s.Rotation, err)
		}
		if len(raw) <= limit {
			return raw, nil
		}
		if !s.cut(len(raw), limit) {
			return nil, errs.Newf(errs.Invalid, "the statement of %s, turn %d, has %d bytes without its lists; the most is %d", s.Rotation, s.Turn, len(raw), limit)
		}
	}
}

// cut makes s smaller; false when there is nothing left to leave out.
func (s *Statement) cut(size, limit int) bool {
	proven := len(s.Pods.Evidence) - s.unproven()
	switch {
	case len(s.Secrets) > proven:
		return shorten(s, "secrets", &s.Secrets, size, limit)
	case proven > 0:
		return s.cutPods(share(proven, size, limit))
	}
	return s.cutClients(size, limit) || shorten(s, "unknown", &s.Unknown, size, limit) || shorten(s, "unproven", &s.Unproven, size, limit) ||
		s.cutPods(share(len(s.Pods.Evidence), size, limit)) || shorten(s, "phases", &s.Phases, size, limit) || s.cutTexts()
}

// cutClients leaves out the last clients: those that are awaited are before them.
func (s *Statement) cutClients(size, limit int) bool {
	if s.Clients == nil {
		return false
	}
	own := *s.Clients
	s.Clients = &own
	return shorten(s, "clients", &own.Evidence, size, limit) || shorten(s, "clientsUnknown", &own.Unknown, size, limit)
}

// unproven is how many of the pods are not proven.
func (s *Statement) unproven() (n int) {
	for i := range s.Pods.Evidence {
		if !s.Pods.Evidence[i].Proven {
			n++
		}
	}
	return n
}

// cutPods leaves the last n out; false if there are none.
func (s *Statement) cutPods(n int) bool {
	left := len(s.Pods.Evidence) - n
	if left < 0 {
		return false
	}
	s.Pods.Evidence = s.Pods.Evidence[:left]
	s.Pods.Omitted += n
	return true
}

// share is how many of n entries to leave out next: by their mean, which comes
// near in a few rounds.
func share(n, size, limit int) int { return max(1, min(n, (size-limit)*n/size)) }

// shorten leaves out the end of a list, and notes what the list was.
func shorten[T any](s *Statement, name string, list *[]T, size, limit int) bool {
	n := len(*list)
	if n == 0 {
		return false
	}
	was, cut := s.Omitted[name]
	if !cut {
		raw, err := json.Marshal(*list)
		if err != nil {
			return false
		}
		sum := sha256.Sum256(raw)
		was = Omitted{Total: n, SHA256: hex.EncodeToString(sum[:])}
	}
	was.Kept = n - share(n, size, limit)
	*list = (*list)[:was.Kept]
	if s.Omitted == nil {
		s.Omitted = map[string]Omitted{}
	}
	s.Omitted[name] = was
	return true
}

// cutTexts cuts what people and backends wrote, if it is long.
func (s *Statement) cutTexts() bool {
	texts := []*string{&s.Reason, &s.Message, &s.Cause, &s.Version, &s.Previous, &s.Credential}
	for _, d := range []**Decision{&s.Approved, &s.Accepted} {
		if *d != nil {
			own := **d
			*d = &own
			texts = append(texts, &own.By, &own.Reason)
		}
	}
	if s.Backend != nil {
		own := *s.Backend
		s.Backend = &own
		texts = append(texts, &own.Partial)
	}
	if s.Retired != nil {
		own := *s.Retired
		s.Retired = &own
		texts = append(texts, &own.Text)
	}
	cut := false
	for _, text := range texts {
		if len(*text) > maxText+len("…") {
			*text, cut = short(*text, maxText), true
		}
	}
	return cut
}
