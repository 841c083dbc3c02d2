package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func listTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"names and folders":             namesAndFolders,
		"pages":                         pages,
		"after a name that is gone":     afterGone,
		"neighbours of a folder":        neighbours,
		"what is deleted is not listed": listDeleted,
		"wrong folder":                  wrongFolder,
		"deep folders":                  deepFolders,
	}
}

// wantNames compares names, by order too unless the store has its own.
func (s *suite) wantNames(got []string, want ...string) {
	s.Helper()
	if s.Unordered {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	if !slices.Equal(got, want) {
		s.Errorf("names are %q, want %q", got, want)
	}
}

func (s *suite) putAll(keys ...string) {
	s.Helper()
	for _, key := range keys {
		s.put(key, "v")
	}
}

func namesAndFolders(s *suite) {
	s.wantNames(s.list("", "", 0))
	s.wantNames(s.list("nothing/", "", 0))
	s.putAll("top", "f/b", "f/a", "f/sub/x", "f/sub/y", "f/sub/deep/z", "f/c", "g/only/deep")
	s.wantNames(s.list("", "", 0), "f/", "g/", "top")
	s.wantNames(s.list("f/", "", 0), "a", "b", "c", "sub/")
	s.wantNames(s.list("f/sub/", "", 0), "deep/", "x", "y")
	s.wantNames(s.list("f/sub/deep/", "", 0), "z")
	s.wantNames(s.list("g/", "", 0), "only/")
	s.wantNames(s.list("f/a/", "", 0))
	s.wantNames(s.list("f/su/", "", 0))
}

// pages reads a folder by pages of every size: together they are the whole,
// each name once, in the same order.
func pages(s *suite) {
	for i := range 23 {
		s.put(fmt.Sprintf("p/n%d", i), "v")
		if i%3 == 0 {
			s.putAll(fmt.Sprintf("p/n%d/x", i), fmt.Sprintf("p/n%d/y/z", i))
		}
	}
	whole := s.list("p/", "", 0)
	if len(whole) != 31 {
		s.Fatalf("%d names, want 31: %q", len(whole), whole)
	}
	if !s.Unordered && !slices.IsSorted(whole) {
		s.Errorf("names are not in byte order: %q", whole)
	}
	if !slices.Equal(whole, s.list("p/", "", 0)) {
		s.Error("the order is not fixed")
	}
	for limit := 1; limit <= len(whole)+1; limit++ {
		var read []string
		for after := ""; len(read) <= len(whole); after = read[len(read)-1] {
			page := s.list("p/", after, limit)
			if len(page) > limit {
				s.Fatalf("a page of %d names, limit %d", len(page), limit)
			}
			read = append(read, page...)
			if len(page) == 0 {
				break
			}
		}
		if !slices.Equal(read, whole) {
			s.Errorf("pages of %d give %q, want %q", limit, read, whole)
		}
	}
	for i, name := range whole {
		if rest := s.list("p/", name, 0); !slices.Equal(rest, whole[i+1:]) {
			s.Errorf("after %q come %q, want %q", name, rest, whole[i+1:])
		}
	}
}

func afterGone(s *suite) {
	s.putAll("p/a", "p/b", "p/c", "p/d/x", "p/e")
	whole := s.list("p/", "", 0)
	for i, name := range whole {
		key := "p/" + name
		if strings.HasSuffix(name, "/") {
			key += "x"
		}
		s.apply(store.Delete(key))
		want := slices.Delete(slices.Clone(whole), 0, i+1)
		if got := s.list("p/", name, 0); !slices.Equal(got, want) {
			s.Errorf("behind the deleted %q come %q, want %q", name, got, want)
		}
		s.put(key, "v")
	}
}

// neighbours have bytes around "/": a folder's keys must not be mixed with theirs.
func neighbours(s *suite) {
	s.putAll("n/a", "n/a.b", "n/a-b", "n/a/x", "n/a/y", "n/a0", "n/aa/x", "na/x", "n-/x", "n.", "n")
	s.wantNames(s.list("n/", "", 0), "a", "a-b", "a.b", "a/", "a0", "aa/")
	s.wantNames(s.list("n/a/", "", 0), "x", "y")
	s.wantNames(s.list("", "", 0), "n", "n-/", "n.", "n/", "na/")
}

func listDeleted(s *suite) {
	s.putAll("f/a", "f/sub/x", "f/sub/y")
	s.apply(store.Delete("f/sub/x"))
	s.wantNames(s.list("f/", "", 0), "a", "sub/")
	s.apply(store.Delete("f/sub/y"))
	s.wantNames(s.list("f/", "", 0), "a")
	s.apply(store.Delete("f/a"))
	s.wantNames(s.list("f/", "", 0))
	s.wantNames(s.list("", "", 0))
}

func wrongFolder(s *suite) {
	s.putAll("f/a")
	for _, folder := range []string{"f", "f/a", "/f"} {
		_, err := s.store.List(s.ctx, folder, "", 0)
		s.wantKind(err, errs.Invalid, folder)
	}
}

func deepFolders(s *suite) {
	key := strings.Repeat("d/", 20) + "leaf"
	s.put(key, "v")
	for folder := ""; ; {
		names := s.list(folder, "", 0)
		if len(names) != 1 {
			s.Fatalf("%q holds %q, want one name", folder, names)
		}
		if names[0] == "leaf" {
			return
		}
		folder += names[0]
	}
}
