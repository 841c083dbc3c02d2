package fingerprint

import (
	"bytes"
	"strings"
)

// minLength is the length below which values are too common to say anything.
const minLength = 6

// common are words of six letters and more that configurations are full of.
var common = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(`administrator password changeme postgres postgresql mariadb rabbitmq mongodb default localhost
		production staging development testing enabled disabled require verify-full verify-ca prefer disable database username
		service kubernetes cluster.local public secret example application/json text/plain`) {
		out[w] = true
	}
	return out
}()

// longestCommon is how long the longest of them is.
var longestCommon = func() (n int) {
	for w := range common {
		n = max(n, len(w))
	}
	return n
}()

// Weak reports whether two things that have value in common need not have
// anything to do with each other: it is short, a small number, a word that
// configurations are full of, or one character over and over.
func Weak(value []byte) bool {
	v := bytes.TrimSpace(value)
	if len(v) < minLength {
		return true
	}
	if len(v) <= longestCommon && common[strings.ToLower(string(v))] {
		return true
	}
	return len(v) < 10 && len(bytes.Trim(v, "0123456789.,:-")) == 0 || len(bytes.Trim(v, string(rune(v[0])))) == 0
}
