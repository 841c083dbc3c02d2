package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"one":                    {"one"},
		"one two three":          {"one two", "three"},
		" one\n two\tthree four": {"one two", "three", "four"},
		"averylongword a b":      {"averylongword", "a b"},
	} {
		if got := wrap(text, 8); !slices.Equal(got, want) {
			t.Errorf("wrap(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestFill(t *testing.T) {
	got, err := io.ReadAll(fill([]byte("server: "+placeholder+"\nagain: "+placeholder), "https://192.0.2.1:8200"))
	if err != nil || string(got) != "server: https://192.0.2.1:8200\nagain: https://192.0.2.1:8200" {
		t.Errorf("fill: %q, %v", got, err)
	}
}

func TestTimes(t *testing.T) {
	for n, want := range map[int]string{1: "once", 2: "twice", 12: "12 times"} {
		if got := times(n); got != want {
			t.Errorf("times(%d) = %q, want %q", n, got, want)
		}
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
