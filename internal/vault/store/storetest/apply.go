package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func applyTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"one key through its life":              oneKey,
		"all keys of a commit have its number":  oneRevision,
		"guards":                                guards,
		"a failed guard writes nothing":         allOrNothing,
		"guards see what came before":           guardsInOrder,
		"checks write nothing":                  checksOnly,
		"without changes":                       noChanges,
		"what is refused":                       refused,
		"what is accepted at the limit":         accepted,
		"a context that has ended":              endedContext,
		"bytes are kept as they are":            anyBytes,
		"conditional changes are made or not":   conditional,
		"revisions grow by every kind of write": revisionsGrow,
	}
}

func oneKey(s *suite) {
	s.holds("f/a", "", 0)
	first := s.put("f/a", "1")
	s.holds("f/a", "1", first)
	s.holds("f", "", 0)
	s.holds("f/ab", "", 0)
	second := s.put("f/a", "2")
	s.holds("f/a", "2", second)
	third := s.apply(store.Delete("f/a"))
	s.holds("f/a", "", 0)
	fourth := s.put("f/a", "")
	s.holds("f/a", "", fourth)
	if first == 0 || first >= second || second >= third || third >= fourth {
		s.Errorf("revisions %d %d %d %d do not grow", first, second, third, fourth)
	}
	s.apply(store.Delete("f/never-there"))
}

func oneRevision(s *suite) {
	s.put("f/c", "old")
	other := s.put("f/d", "untouched")
	rev := s.apply(store.Put("f/a", []byte("1")), store.Put("g/b", []byte("2")), store.Delete("f/c"))
	s.holds("f/a", "1", rev)
	s.holds("g/b", "2", rev)
	s.holds("f/c", "", 0)
	s.holds("f/d", "untouched", other)
}

func guards(s *suite) {
	rev := s.put("f/there", "v")
	stale := s.put("f/moved", "1")
	s.put("f/moved", "2")
	for name, c := range map[string]struct {
		change store.Change
		ok     bool
	}{
		"create what is not there":    {store.Put("f/new", []byte("x")).If(0), true},
		"create what is there":        {store.Put("f/there", []byte("x")).If(0), false},
		"write at a wrong revision":   {store.Put("f/there", []byte("x")).If(rev + 1000), false},
		"write at an old revision":    {store.Put("f/moved", []byte("x")).If(stale), false},
		"write what is not there":     {store.Put("f/absent", []byte("x")).If(rev), false},
		"delete at an old revision":   {store.Delete("f/moved").If(stale), false},
		"delete what is not there":    {store.Delete("f/absent").If(0), true},
		"delete expecting absence":    {store.Delete("f/there").If(0), false},
		"check that holds":            {store.Check("f/there", rev), true},
		"check of absence that holds": {store.Check("f/absent", 0), true},
		"check of an old revision":    {store.Check("f/moved", stale), false},
		"check of absence":            {store.Check("f/there", 0), false},
	} {
		_, err := s.store.Apply(s.ctx, store.Put("f/beside", []byte(name)), c.change)
		if c.ok && err != nil {
			s.Errorf("%s: %v", name, err)
		}
		if !c.ok {
			s.wantKind(err, errs.Conflict, name)
			if got := s.get("f/beside"); string(got.Value) == name {
				s.Errorf("%s: the other change was made", name)
			}
		}
	}
	s.holds("f/there", "v", rev)
	next := s.apply(store.Put("f/there", []byte("w")).If(rev))
	s.holds("f/there", "w", next)
	s.apply(store.Delete("f/there").If(next))
	s.holds("f/there", "", 0)
}

func allOrNothing(s *suite) {
	a := s.put("f/a", "1")
	before := s.apply()
	_, err := s.store.Apply(s.ctx,
		store.Put("f/x", []byte("x")), store.Delete("f/a"), store.Put("f/b", nil).If(a), store.Put("f/y", []byte("y")))
	s.wantKind(err, errs.Conflict, "the third of four changes has a failing guard")
	s.holds("f/x", "", 0)
	s.holds("f/y", "", 0)
	s.holds("f/a", "1", a)
	if after := s.apply(); after != before {
		s.Errorf("a refused transaction moved the revision from %d to %d", before, after)
	}
}

func guardsInOrder(s *suite) {
	rev := store.Revision(0)
	for range 20 {
		rev = s.apply(store.Put("f/chain", nil).If(rev))
	}
	_, err := s.store.Apply(s.ctx, store.Put("f/chain", nil).If(rev-1))
	s.wantKind(err, errs.Conflict, "a guard one revision behind")
}

func checksOnly(s *suite) {
	rev := s.put("f/a", "1")
	now := s.apply(store.Check("f/a", rev), store.Check("f/b", 0))
	if now != rev {
		s.Errorf("checks alone moved the revision from %d to %d", rev, now)
	}
	_, err := s.store.Apply(s.ctx, store.Check("f/a", rev), store.Check("f/b", 7))
	s.wantKind(err, errs.Conflict, "a failing check without writes")
}

func noChanges(s *suite) {
	before := s.apply()
	rev := s.put("f/a", "1")
	if now := s.apply(); now != rev || rev <= before {
		s.Errorf("Apply() says %d, before the write %d, the write %d", now, before, rev)
	}
}

func refused(s *suite) {
	put := func(key string, size int) store.Change { return store.Put(key, make([]byte, size)) }
	many := make([]store.Change, store.MaxChanges+1)
	for i := range many {
		many[i] = store.Put(fmt.Sprintf("f/%d", i), nil)
	}
	var heavy []store.Change
	for i := range 2 + store.MaxBytes/store.MaxValue {
		heavy = append(heavy, put(fmt.Sprintf("f/%d", i), store.MaxValue))
	}
	for name, c := range map[string]struct {
		kind    errs.Kind
		changes []store.Change
	}{
		"empty key":                {errs.Invalid, []store.Change{put("", 1)}},
		"slash first":              {errs.Invalid, []store.Change{put("/a", 1)}},
		"slash last":               {errs.Invalid, []store.Change{put("a/", 1)}},
		"empty segment":            {errs.Invalid, []store.Change{put("a//b", 1)}},
		"one key put twice":        {errs.Invalid, []store.Change{put("f/a", 1), put("f/b", 1), put("f/a", 1)}},
		"one key put and deleted":  {errs.Invalid, []store.Change{put("f/a", 1), store.Delete("f/a")}},
		"one key put and checked":  {errs.Invalid, []store.Change{put("f/a", 1), store.Check("f/a", 0)}},
		"unknown operation":        {errs.Invalid, []store.Change{put("f/b", 1), {Key: "f/a"}}},
		"operation out of range":   {errs.Invalid, []store.Change{put("f/b", 1), {Op: 200, Key: "f/a"}}},
		"check without a revision": {errs.Invalid, []store.Change{put("f/b", 1), {Op: store.OpCheck, Key: "f/a"}}},
		"long key":                 {errs.TooLarge, []store.Change{put(longKey(store.MaxKey+1), 1)}},
		"long value":               {errs.TooLarge, []store.Change{put("f/a", store.MaxValue+store.Overhead+1)}},
		"many changes":             {errs.TooLarge, many},
		"many bytes":               {errs.TooLarge, heavy},
	} {
		_, err := s.store.Apply(s.ctx, c.changes...)
		s.wantKind(err, c.kind, name)
	}
	if names := s.list("", "", 0); len(names) != 0 {
		s.Errorf("something was written: %d names", len(names))
	}
}

// longKey returns a key of n bytes whose segments are all within MaxSegment.
func longKey(n int) string {
	return strings.Repeat(strings.Repeat("k", 255)+"/", n/256+1)[:n-1] + "k"
}

func accepted(s *suite) {
	segment := "f/" + strings.Repeat("s", store.MaxSegment)
	value := bytes.Repeat([]byte("v"), store.MaxValue)
	rev := s.apply(store.Put(segment, value))
	s.holds(segment, string(value), rev)
	many := make([]store.Change, store.MaxChanges)
	for i := range many {
		many[i] = store.Put(fmt.Sprintf("many/%d", i), nil)
	}
	s.apply(many...)
	if n := len(s.list("many/", "", 0)); n != store.MaxChanges {
		s.Errorf("%d of %d keys are there", n, store.MaxChanges)
	}
}

func endedContext(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err := s.store.Get(ctx, "f/a")
	s.wantKind(err, errs.Unavailable, "Get")
	_, err = s.store.List(ctx, "f/", "", 0)
	s.wantKind(err, errs.Unavailable, "List")
	_, err = s.store.Apply(ctx, store.Put("f/a", nil))
	s.wantKind(err, errs.Unavailable, "Apply")
}

func anyBytes(s *suite) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, key := range []string{"x", "x/\x00", "x/\xff\xfe", "x/ü ñ", "x/%2F", "x/.", "x/\x00/\x00", "\x00", "\xff\xff/\xff"} {
		rev := s.apply(store.Put(key, every))
		s.holds(key, string(every), rev)
	}
}

func conditional(s *suite) {
	rev := s.put("f/switch", "on")
	s.apply(store.Check("f/switch", rev), store.Put("f/lamp", []byte("lit")))
	s.put("f/switch", "off")
	_, err := s.store.Apply(s.ctx, store.Check("f/switch", rev), store.Put("f/lamp", []byte("wrong")))
	s.wantKind(err, errs.Conflict, "a check on a changed key")
	if e := s.get("f/lamp"); string(e.Value) != "lit" {
		s.Errorf("the lamp is %q", e.Value)
	}
}

func revisionsGrow(s *suite) {
	last := s.apply()
	for i := range 30 {
		var rev store.Revision
		switch i % 3 {
		case 0:
			rev = s.put("f/a", "x")
		case 1:
			rev = s.apply(store.Delete("f/a"))
		case 2:
			rev = s.apply(store.Put("f/b", nil), store.Put("f/c", nil))
		}
		if rev <= last {
			s.Fatalf("revision %d after %d", rev, last)
		}
		last = rev
	}
}
