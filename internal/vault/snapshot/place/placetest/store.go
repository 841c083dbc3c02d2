package placetest

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// What every store here has: one bucket, and who may use it.
const (
	BucketName = "backups"
	Folder     = "team a/vault" // in which Worlds are
	Canary     = "canary-7f3b1c"
)

// page is how many names an answer to a listing has at most.
const page = 1000

// Store is what lies in a bucket. Its methods may be called at once.
type Store struct {
	mu        sync.Mutex
	objects   map[string][]byte
	uploads   map[string]map[string][]byte // by id, the parts by theirs
	serial    int
	onUpload  func()
	uploadAt  int // requests until onUpload
	cuts, cut int // downloads that break, and behind how many bytes
	downloads int
	pages     int
	largest   int
	spoil     bool
	lose      bool // the answer to what makes the next object
	simple    bool // knows no conditions
}

func newStore() *Store {
	return &Store{objects: map[string][]byte{}, uploads: map[string]map[string][]byte{}}
}

func itoa(n int) string { return strconv.Itoa(n) }

func (s *Store) with(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// Set puts an object there.
func (s *Store) Set(key string, content []byte) { s.with(func() { s.keep(key, content) }) }

// Keys are all that are there.
func (s *Store) Keys() (keys []string) {
	s.with(func() { keys = slices.Sorted(maps.Keys(s.objects)) })
	return keys
}

// SpoilUploads has a bit turned over in each object that is put from now on.
func (s *Store) SpoilUploads() { s.with(func() { s.spoil = true }) }

// LoseAnswer has the next object made, and who asked for it not told.
func (s *Store) LoseAnswer() { s.with(func() { s.lose = true }) }

// WithoutConditions has requests refused that are for a free name only.
func (s *Store) WithoutConditions() { s.with(func() { s.simple = true }) }

// make makes an object, if its key is free or need not be; the caller holds the lock.
func (s *Store) make(key string, content []byte, free bool) bool {
	if _, taken := s.objects[key]; taken && free {
		return false
	}
	s.keep(key, content)
	if s.lose {
		s.lose = false
		panic(http.ErrAbortHandler)
	}
	return true
}

// keep makes an object; the caller holds the lock.
func (s *Store) keep(key string, content []byte) {
	if s.spoil && len(content) > 0 {
		content = slices.Clone(content)
		content[len(content)/2] ^= 1
	}
	s.objects[key] = content
}

// OnUpload has do called when the nth request from now with content comes.
func (s *Store) OnUpload(n int, do func()) { s.with(func() { s.uploadAt, s.onUpload = n, do }) }

// CutDownloads breaks the next downloads, each behind so many bytes.
func (s *Store) CutDownloads(times, behind int) {
	s.with(func() { s.cuts, s.cut, s.downloads = times, behind, 0 })
}

// Downloads counts them, since CutDownloads.
func (s *Store) Downloads() (n int) { s.with(func() { n = s.downloads }); return n }

// Pages counts the answers to listings.
func (s *Store) Pages() (n int) { s.with(func() { n = s.pages }); return n }

// Unfinished counts uploads that cost until somebody takes them back. Those of GCS and
// Azure end by themselves.
func (s *Store) Unfinished() (n int) {
	s.with(func() {
		for id := range s.uploads {
			if strings.HasPrefix(id, "upload-") {
				n++
			}
		}
	})
	return n
}

// LargestRequest is how many bytes of content one had at most.
func (s *Store) LargestRequest() (n int) { s.with(func() { n = s.largest }); return n }

// content reads what a request brings; false: it does not come whole.
func (s *Store) content(r *http.Request) ([]byte, bool) {
	var do func()
	s.with(func() {
		if s.onUpload != nil && r.ContentLength != 0 {
			if s.uploadAt--; s.uploadAt == 0 {
				do, s.onUpload = s.onUpload, nil
			}
		}
	})
	if do != nil {
		do()
	}
	raw, err := io.ReadAll(r.Body)
	s.with(func() { s.largest = max(s.largest, len(raw)) })
	return raw, err == nil
}

// list is one page of names behind after; next is "" at the end.
func (s *Store) list(prefix, after string) (keys []string, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages++
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(keys) == page {
			return keys, keys[page-1]
		}
		keys = append(keys, key)
	}
	return keys, ""
}

// object returns one; false: there is none.
func (s *Store) object(key string) (content []byte, ok bool) {
	s.with(func() { content, ok = s.objects[key] })
	return content, ok
}

// remove reports whether there was one.
func (s *Store) remove(key string) (ok bool) {
	s.with(func() {
		_, ok = s.objects[key]
		delete(s.objects, key)
	})
	return ok
}

// send answers with an object, or a range of it to its end, and breaks if it is to.
func (s *Store) send(w http.ResponseWriter, content []byte, span string) {
	status, behind := http.StatusOK, -1
	s.with(func() {
		s.downloads++
		if s.cuts > 0 {
			s.cuts, behind = s.cuts-1, s.cut
		}
	})
	if from, ok := strings.CutPrefix(strings.TrimSuffix(span, "-"), "bytes="); ok {
		at, err := strconv.Atoi(from)
		if err != nil || at >= len(content) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", "bytes "+from+"-"+itoa(len(content)-1)+"/"+itoa(len(content)))
		status, content = http.StatusPartialContent, content[at:]
	}
	w.Header().Set("Content-Length", itoa(len(content)))
	w.WriteHeader(status)
	if behind < 0 || behind >= len(content) {
		_, _ = w.Write(content)
		return
	}
	_, _ = w.Write(content[:behind])
	panic(http.ErrAbortHandler)
}
