package journal

import (
	"regexp"
	"sync"
	"time"
)

// again is how long the same is not said again, maxSubjects of how many Sparse remembers what it said.
const (
	again       = time.Minute
	maxSubjects = 64
)

// Sparse is for what would be logged each time that somebody tries again: once, and again when it is
// otherwise or a minute has passed. Its zero value has said nothing. Any number of goroutines may ask it.
type Sparse struct {
	mu   sync.Mutex
	said map[string]saying // by subject
}

type saying struct {
	text string
	at   time.Time
}

// ephemeral are a connection's own address and port, which differ with each try.
var ephemeral = regexp.MustCompile(`\S+->`)

// Due reports whether text is to be said of subject, and counts it as said.
func (s *Sparse) Due(subject, text string) bool {
	text = ephemeral.ReplaceAllString(text, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.said[subject]; ok && last.text == text && time.Since(last.at) < again {
		return false
	}
	if s.said == nil || len(s.said) >= maxSubjects {
		s.said = map[string]saying{} // says more then, which is better than too little
	}
	s.said[subject] = saying{text, time.Now()}
	return true
}
