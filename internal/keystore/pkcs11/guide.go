package pkcs11

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

const byID = "the key is named by its CKA_ID, and has one version: name key in the configuration instead of id"

var _ keystore.Guide = (*Key)(nil)

// Next implements keystore.Guide: another key, with the next label.
func (k *Key) Next(h keystore.History) []string {
	if k.settings.Key == "" {
		return []string{byID}
	}
	newest := uint32(0)
	for _, v := range h.Versions {
		if id, err := wire.ParseID(v.ID); err == nil {
			newest = max(newest, id.Number)
		}
	}
	var all []string
	which := "--token-label=" + quoted(k.settings.Token)
	if k.settings.Serial != "" { // by which the tool finds no token
		all, which = append(all, k.tool()+" --list-token-slots"), "--slot="+quoted("SLOT-OF-"+k.settings.Serial)
	}
	return append(all,
		fmt.Sprintf("%s %s --login --keygen --key-type=AES:32 --label=%s/%d --sensitive --private", k.tool(), which, k.settings.Key, newest+1),
		"where the token has copies, bring the key to each of them by its vendor's means, before the plugin's activation_delay has passed",
	)
}

// Retire implements keystore.Guide. PKCS#11 has no key that is disabled: what takes one
// away, and can be undone, is another label.
func (k *Key) Retire(old []string, _ string) [][]string {
	all := make([][]string, len(old))
	for i, version := range old {
		all[i] = k.retire(version)
	}
	return all
}

func (k *Key) retire(version string) []string {
	if k.settings.Key == "" {
		return []string{byID}
	}
	id, err := wire.ParseID(version)
	if err != nil {
		return []string{err.Error()}
	}
	return []string{fmt.Sprintf(
		"give key %[1]s/%[2]d of the token, and of its copies, the label retired-%[1]s/%[2]d by its vendor's tool (pkcs11-tool has no command for it); the label %[1]s/%[2]d brings it back, and deleting it cannot be undone",
		k.settings.Key, id.Number)}
}

// tool begins a command of OpenSC's, which asks for the PIN itself.
func (k *Key) tool() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(k.settings.Environment)) {
		text.WriteString(name + "=" + quoted(k.settings.Environment[name]) + " ")
	}
	return text.String() + "pkcs11-tool --module=" + quoted(k.settings.Module)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-]+$`)

// quoted is a word that a shell takes as it is.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
