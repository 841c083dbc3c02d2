package sealed

import (
	"encoding/base64"
	"strings"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// names translates keys between what callers say and what is stored.
type names struct {
	siv   *subtle.AESSIV
	plain []string // prefixes, each one segment and a slash
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
	if n.isPlain(key) {
		return key, nil
	}
	first, rest, found := strings.Cut(key, "/")
	if !found {
		return key, nil
	}
	hidden := make([]byte, 0, 2*len(key)+64)
	hidden = append(append(hidden, first...), '/')
	for rest != "" {
		var segment string
		segment, rest, found = strings.Cut(rest, "/")
		var err error
		if hidden, err = n.appendName(hidden, segment); err != nil {
			return "", err
		}
		if found {
			hidden = append(hidden, '/')
		}
	}
	if len(hidden) > store.MaxKey {
		return "", errs.Newf(errs.TooLarge, "a name of %d bytes is too long or too deep to be stored: encrypted it is %d bytes, over the limit of %d", len(key), len(hidden), store.MaxKey)
	}
	return string(hidden), nil
}

// appendName appends the encrypted segment; folder, all that stands before it,
// is bound to it.
func (n *names) appendName(folder []byte, segment string) ([]byte, error) {
	sealed, err := n.siv.EncryptDeterministically([]byte(segment), folder)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encrypting a name: %w", err)
	}
	return base64.RawURLEncoding.AppendEncode(folder, sealed), nil
}

// reveal returns what the stored name, without slash, stands for in the stored
// folder. Kind Internal: it was made with another key or belongs elsewhere.
func (n *names) reveal(folder, name string) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil {
		return "", errDamaged(folder + name)
	}
	plain, err := n.siv.DecryptDeterministically(sealed, []byte(folder))
	if err != nil {
		return "", errDamaged(folder + name)
	}
	return string(plain), nil
}

// revealKey translates a whole stored key back.
func (n *names) revealKey(stored string) (string, error) {
	if n.isPlain(stored) {
		return stored, nil
	}
	at := strings.IndexByte(stored, '/') + 1
	if at == 0 {
		return stored, nil
	}
	key := stored[:at]
	for at < len(stored) {
		end := strings.IndexByte(stored[at:], '/')
		last := end < 0
		if last {
			end = len(stored) - at
		}
		name, err := n.reveal(stored[:at], stored[at:at+end])
		if err != nil {
			return "", err
		}
		key += name
		if !last {
			key += "/"
			end++
		}
		at += end
	}
	return key, nil
}

// errDamaged names the stored key, which tells nothing, and what to do.
func errDamaged(stored string) error {
	return errs.Newf(errs.Internal, "the stored entry %q does not authenticate: it was changed, moved or cut short outside the vault; restore it from a backup", stored)
}
