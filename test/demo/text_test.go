package main

import (
	"io"
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	got, err := io.ReadAll(fill([]byte("server: "+placeholder+"\nagain: "+placeholder), "https://192.0.2.1:8200"))
	if err != nil || string(got) != "server: https://192.0.2.1:8200\nagain: https://192.0.2.1:8200" {
		t.Errorf("fill: %q, %v", got, err)
	}
}

func TestBriefDigest(t *testing.T) {
	if got := brief(strings.Repeat("a", 64)); got != "aaaaaaaaaaaa…" {
		t.Errorf("brief: %q", got)
	}
	if got := brief("ab"); got != "ab…" {
		t.Errorf("brief: %q", got)
	}
}
