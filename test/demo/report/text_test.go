package report

import (
	"slices"
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

func TestTimes(t *testing.T) {
	for n, want := range map[int]string{1: "once", 2: "twice", 12: "12 times"} {
		if got := Times(n); got != want {
			t.Errorf("Times(%d) = %q, want %q", n, got, want)
		}
	}
}
