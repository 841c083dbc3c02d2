package sealed

import (
	"encoding/base64"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// names translates keys between what callers say and what is stored. It is
// safe for concurrent use.
type names struct {
	siv   *subtle.AESSIV
	plain []string // prefixes, each one segment and a slash
	known pairs
}

// isPlain reports whether key, or a folder, lies below a plain prefix.
func (n *names) isPlain(key string) bool {
	for _, p := range n.plain {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// hide returns the stored form of a key or of a folder, which ends in "/".
// Kind TooLarge: the stored key would be over the limit of the store below.
func (n *names) hide(key string) (string, error) {
	if len(key) > store.MaxKey {
		return "", errs.Newf(errs.TooLarge, "a name of %d bytes is over the limit of %d", len(key), store.MaxKey)
	}
	parent, segment, slash := split(key)
	if parent == "" || n.isPlain(key) {
		return key, nil
	}
	if hidden := n.known.hidden(key); hidden != "" {
		return hidden, nil
	}
	folder, err := n.hide(parent)
	if err != nil {
		return "", err
	}
	name, err := n.appendName(append(make([]byte, 0, 2*len(key)+96), folder...), segment)
	if err != nil {
		return "", err
	}
	hidden := string(append(name, slash...))
	if len(hidden) > store.MaxKey {
		return "", errs.Newf(errs.TooLarge, "a name is too long or too deep to be stored: encrypted it is %d bytes, over the limit of %d", len(hidden), store.MaxKey)
	}
	n.known.add(key, hidden)
	return hidden, nil
}

// split takes the last segment off a key or folder. slash is "/" for a folder.
func split(key string) (parent, segment, slash string) {
	segment, folder := strings.CutSuffix(key, "/")
	if folder {
		slash = "/"
	}
	cut := strings.LastIndexByte(segment, '/') + 1
	return segment[:cut], segment[cut:], slash
}

// appendName appends the encrypted segment; folder, all that stands before it,
// is bound to it.
func (n *names) appendName(folder []byte, segment string) ([]byte, error) {
	sealed, err := n.siv.EncryptDeterministically([]byte(segment), folder)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encrypting a name: %w", err)
	}
	return encoding.AppendEncode(folder, sealed), nil
}

// encoding is strict: a name has one stored form only. It never changes.
var encoding = base64.RawURLEncoding.Strict()

// reveal returns what the stored name, without slash, stands for in the stored
// folder. Kind Internal: it was made with another key or belongs elsewhere.
func (n *names) reveal(folder, name string) (string, error) {
	sealed, err := encoding.DecodeString(name)
	if err != nil {
		return "", errDamaged(folder + name)
	}
	plain, err := n.siv.DecryptDeterministically(sealed, []byte(folder))
	if err != nil {
		return "", errDamaged(folder + name)
	}
	return string(plain), nil
}

// revealKey translates a whole stored key, or a folder, back.
func (n *names) revealKey(hidden string) (string, error) {
	if len(hidden) > store.MaxKey {
		return "", errDamaged(hidden[:64] + "…")
	}
	folder, name, slash := split(hidden)
	if folder == "" || n.isPlain(hidden) {
		return hidden, nil
	}
	if key := n.known.key(hidden); key != "" {
		return key, nil
	}
	parent, err := n.revealKey(folder)
	if err != nil {
		return "", err
	}
	segment, err := n.reveal(folder, name)
	if err != nil {
		return "", err
	}
	key := parent + segment + slash
	n.known.add(key, hidden)
	return key, nil
}

// errDamaged names the stored key, which tells nothing, and what to do.
func errDamaged(stored string) error {
	return errs.Newf(errs.Internal, "the stored entry %q does not authenticate: it was changed, moved or cut short outside the vault; restore it from a backup", stored)
}

// pairs remembers what keys were translated to, which never changes: every
// write is translated, and translated back when the watch tells of it. A slot
// holds the last pair that fell there, so that it is bounded and needs no lock.
type pairs struct {
	seed     maphash.Seed
	byKey    [pairSlots]atomic.Pointer[pair]
	byHidden [pairSlots]atomic.Pointer[pair]
}

// pairSlots is at most 1.5 MiB with keys of usual length.
const pairSlots = 4096

type pair struct{ key, hidden string }

func (p *pairs) slot(s string) uint64 { return maphash.String(p.seed, s) % pairSlots }

func (p *pairs) add(key, hidden string) {
	next := &pair{strings.Clone(key), hidden}
	p.byKey[p.slot(key)].Store(next)
	p.byHidden[p.slot(hidden)].Store(next)
}

// hidden returns the stored form of key, "" if it is not known.
func (p *pairs) hidden(key string) string {
	if it := p.byKey[p.slot(key)].Load(); it != nil && it.key == key {
		return it.hidden
	}
	return ""
}

// key returns the key of a stored form, "" if it is not known.
func (p *pairs) key(hidden string) string {
	if it := p.byHidden[p.slot(hidden)].Load(); it != nil && it.hidden == hidden {
		return it.key
	}
	return ""
}
