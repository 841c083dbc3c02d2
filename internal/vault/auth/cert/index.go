package cert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// A login that names no role looks only at roles that could trust its chain.
//
//	anchor/<hash>/<role>   a mark: the role trusts this CA, by its subject, or this very leaf
//	anchor/any/<role>      a mark: the role trusts more than are marked one by one
//	anchors                a mark: all roles have their marks; in a mount of before they have not
//
// A mark that is missing or too many cannot let anybody in: a role is believed
// only as it is stored.
const (
	anchorFolder = "anchor/"
	anyAnchor    = "any"
	anchoredKey  = "anchors"
	maxAnchors   = 64 // marks of one role, so that a change stays within a transaction
)

var mark = []byte{1}

// bySubject is the mark of a CA. x509 finds who signed a certificate by the
// subject alone, so that nothing narrower would do.
func bySubject(rawName []byte) string { return hashed("subject", rawName) }

// byItself is the mark of a leaf that is trusted itself.
func byItself(c *x509.Certificate) string { return hashed("leaf", c.Raw) }

func hashed(kind string, b []byte) string {
	h := sha256.New()
	h.Write([]byte(kind + "\x00"))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// anchors are the marks of a role.
func (r *role) anchors() []string {
	if r == nil {
		return nil
	}
	all := map[string]bool{}
	for _, c := range r.authorities {
		all[bySubject(c.RawSubject)] = true
	}
	for _, c := range r.leaves {
		all[byItself(c)] = true
	}
	if len(all) > maxAnchors {
		return []string{anyAnchor}
	}
	return slices.Sorted(maps.Keys(all))
}

// index brings the marks in step with a role that is written.
func (e *Engine) index(ctx context.Context, tx engine.Tx, old, now *role) (*engine.Response, error) {
	if old == nil {
		first, err := tx.List(ctx, e.roles.Folder, "", 1)
		if err != nil {
			return nil, err
		}
		if len(first) == 0 {
			tx.Put(anchoredKey, mark)
		}
	}
	before, after := old.anchors(), now.anchors()
	for _, a := range before {
		if !slices.Contains(after, a) {
			tx.Delete(anchorFolder + a + "/" + now.Name)
		}
	}
	for _, a := range after {
		if !slices.Contains(before, a) {
			tx.Put(anchorFolder+a+"/"+now.Name, mark)
		}
	}
	return nil, nil
}

// unindex removes the marks of a role that is deleted.
func (e *Engine) unindex(_ context.Context, tx engine.Tx, old *role) error {
	for _, a := range old.anchors() {
		tx.Delete(anchorFolder + a + "/" + old.Name)
	}
	return nil
}

// candidates returns the names of the roles that could trust what a client
// shows, leaf first, sorted.
func (e *Engine) candidates(ctx context.Context, tx engine.Tx, shown []*x509.Certificate) ([]string, error) {
	complete, err := tx.Get(ctx, anchoredKey)
	if err != nil {
		return nil, err
	}
	if !complete.Exists() {
		all, err := tx.List(ctx, e.roles.Folder, "", 0)
		slices.Sort(all)
		return all, err
	}
	// Whoever signed one of the chain; the leaf itself, if a role trusts it.
	marks := []string{anyAnchor, byItself(shown[0]), bySubject(shown[0].RawSubject)}
	for _, c := range shown[:min(len(shown), maxChain)] {
		marks = append(marks, bySubject(c.RawIssuer))
	}
	slices.Sort(marks)
	var names []string
	for _, m := range slices.Compact(marks) {
		some, err := tx.List(ctx, anchorFolder+m+"/", "", 0)
		if err != nil {
			return nil, err
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
