package search

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Reader is who reads a path, with when first and last and how often.
type Reader struct {
	Path        string    `json:"path"`
	DisplayName string    `json:"display_name"`
	Entity      string    `json:"entity_id,omitempty"`
	Accessor    string    `json:"accessor,omitempty"` // of the last token
	Remote      string    `json:"remote_address,omitempty"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Count       int64     `json:"count"`
}

// LastRead returns who read what q's Path fits, the latest first: one Reader
// for each path and display name (or entity, where there is one). Only reads
// that were answered count.
func LastRead(ctx context.Context, q Query, names ...string) ([]Reader, *Result, error) {
	q.Type, q.NoErrors, q.OnlyErrors = "response", true, false
	if q.Operation == "" {
		q.Operation = "read"
	}
	type who struct{ path, name, entity string }
	readers := map[who]*Reader{}
	result, err := Files(ctx, q, func(e *Entry) error {
		k := who{e.Path, e.DisplayName, e.Entity}
		r := readers[k]
		if r == nil {
			r = &Reader{Path: e.Path, DisplayName: e.DisplayName, Entity: e.Entity, First: e.Time}
			readers[k] = r
		}
		r.Count++
		if e.Time.Before(r.First) {
			r.First = e.Time
		}
		if !e.Time.Before(r.Last) {
			r.Last, r.Accessor, r.Remote = e.Time, e.Accessor, e.Remote
		}
		return nil
	}, names...)
	if err != nil {
		return nil, result, err
	}
	all := make([]Reader, 0, len(readers))
	for _, r := range readers {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Reader) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Path, b.Path), cmp.Compare(a.DisplayName, b.DisplayName), cmp.Compare(a.Entity, b.Entity))
	})
	return all, result, nil
}
