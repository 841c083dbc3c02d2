package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

const digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" // of "one"

func TestReadSecrets(t *testing.T) {
	read := readSecrets(strings.NewReader(`{"kind":"Secret","data":{"z":"","config":"eyJwYXNzd29yZCI6InB3In0="}}
{"data":{}}`))
	s, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.keys, []string{"config", "z"}) || !s.holds("pw") || s.holds("p") {
		t.Errorf("keys %v, holds %t %t", s.keys, s.holds("pw"), s.holds("p"))
	}
	if got := (secretSeen{config: []byte("one")}).sum(); got != digest {
		t.Errorf("sum: %s", got)
	}
	if s, err := read(); err != nil || s.holds("") {
		t.Errorf("a Secret without the key: %t, %v", s.holds(""), err)
	}
	if _, err := read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestHolds(t *testing.T) {
	for config, want := range map[string]bool{
		`{"password":"pw"}`:           true,
		`{"password":"pw2"}`:          false,
		`{"password":"pw","user":""}`: false,
		`pw`:                          false,
		``:                            false,
	} {
		if got := (secretSeen{config: []byte(config)}).holds("pw"); got != want {
			t.Errorf("%q holds it: %t", config, got)
		}
	}
}

func TestReadDigests(t *testing.T) {
	read := readDigests(strings.NewReader("warming up\nsha256 aa\n\nsha256 bb\n"))
	for _, want := range []string{"aa", "bb"} {
		if got, err := read(); err != nil || got != want {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	if _, err := read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
