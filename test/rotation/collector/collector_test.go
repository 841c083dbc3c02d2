package collector

import (
	"net/http"
	"strings"
	"testing"
)

func TestCollector(t *testing.T) {
	c, err := Start(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(body string, want int) {
		t.Helper()
		res, err := http.Post(c.URL(), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", body, res.Status)
		}
	}
	say(`{"name":"a-1","user":"x","queries":3,"users":{"x":3}}`, http.StatusOK)
	say(`{"name":"a-1","user":"y","queries":7,"failures":1,"refused":1,"lastError":"refused","users":{"x":5,"y":1},"reloads":1,"final":true}`, http.StatusOK)
	say(`{"name":"a-1","user":"x","queries":4}`, http.StatusOK) // comes in late, and does not count
	say(`{"name":"b-1","user":"x","queries":10,"logins":2,"users":{"x":10}}`, http.StatusOK)
	say(`{"queries":10}`, http.StatusBadRequest)
	say(`no JSON`, http.StatusBadRequest)
	all := c.Totals("")
	if all.Pods != 2 || len(all.Open) != 1 || all.Queries != 17 || all.Failures != 1 || all.Refused != 1 || all.Reloads != 1 || all.Logins != 2 ||
		all.Users["x"] != 15 || all.Users["y"] != 1 || len(all.Errors) != 1 {
		t.Errorf("all: %+v", all)
	}
	if text := all.String(); !strings.Contains(text, "17 queries") || !strings.Contains(text, "a-1: 1 failures, the last refused") {
		t.Errorf("text: %s", text)
	}
	if b := c.Totals("b-"); b.Pods != 1 || b.Queries != 10 || b.Failures != 0 {
		t.Errorf("b: %+v", b)
	}
	if now := c.Users(); len(now) != 1 || now["x"] != 1 {
		t.Errorf("who is logged in now: %v", now)
	}
}
