package inflight

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

func read(t *testing.T, b *Book) map[string]shown {
	t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, nil)
	all := map[string]shown{}
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// What has entered and not left is shown, whatever the order, and never the query.
func TestBook(t *testing.T) {
	var b Book
	if all := read(t, &b); len(all) != 0 {
		t.Fatal(all)
	}
	now := time.Now().UTC()
	var under []*Request
	for i := range 100 {
		r := httptest.NewRequest(http.MethodGet, "/v1/kv/"+strconv.Itoa(i)+"?secret=canary", nil)
		under = append(under, b.Enter(strconv.Itoa(i), r, now))
	}
	for i := 0; i < 100; i += 2 {
		under[i].Leave()
	}
	all := read(t, &b)
	if len(all) != 50 {
		t.Fatal(len(all), " are shown")
	}
	under[17].Is("somebody")
	all = read(t, &b)
	want := shown{Began: now, Remote: "192.0.2.1:1234", Path: "/v1/kv/17", Method: "GET", ClientID: "somebody"}
	if got := all["17"]; got != want {
		t.Errorf("%+v", got)
	}
	for i := 1; i < 100; i += 2 {
		under[i].Leave()
	}
	if all := read(t, &b); len(all) != 0 {
		t.Error("some are left behind:", all)
	}
}

func TestAtOnce(t *testing.T) {
	var b Book
	r := httptest.NewRequest(http.MethodGet, "/v1/x", nil)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for n := range 1000 {
				b.Enter(strconv.Itoa(i)+"-"+strconv.Itoa(n), r, time.Now()).Leave()
				if n%100 == 0 {
					b.all()
				}
			}
		})
	}
	work.Wait()
	if all := b.all(); len(all) != 0 {
		t.Error(all)
	}
}

func BenchmarkEnter(b *testing.B) {
	var book Book
	r := httptest.NewRequest(http.MethodGet, "/v1/x", nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			book.Enter("9049326b-ceed-1033-c099-96c5cc97db1f", r, time.Time{}).Leave()
		}
	})
}
