package revocation

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	listFolder = "crl/"
	dataFolder = "crldata/"
	// partBytes is below store.MaxValue, with room for what sealing adds.
	partBytes = 900 << 10
)

// crl is one signed list.
type crl struct {
	Number     int64  `json:"number"`
	Generation string `json:"generation"` // its folder of parts
	Parts      int    `json:"parts"`
	Entries    int    `json:"entries"`
	This       int64  `json:"this"` // unix seconds
	Next       int64  `json:"next"`
	Old        string `json:"old,omitempty"` // generation before it, whose parts are still there
}

// lists are the CRLs of one authority.
type lists struct {
	Last     int64 `json:"last"` // number of the latest CRL of either kind
	Complete crl   `json:"complete"`
	Delta    crl   `json:"delta"`
}

func decodeLists(value []byte) (*lists, error) {
	l := new(lists)
	if len(value) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(value, l); err != nil {
		return nil, errs.New(errs.Internal, "decoding the state of a CRL: the stored record is damaged or of a newer format")
	}
	return l, nil
}

// loadLists returns the CRLs of an authority, which are shared; their numbers are 0
// if there are none.
func loadLists(ctx context.Context, tx engine.Tx, authority string) (*lists, error) {
	e, err := tx.Get(ctx, listFolder+authority)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decodeLists)
}

func (l *lists) store(tx engine.Tx, authority string) error {
	value, err := json.Marshal(l)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the state of a CRL: %w", err)
	}
	tx.Put(listFolder+authority, value)
	return nil
}

func partKey(authority, generation string, n int) string {
	return dataFolder + authority + "/" + generation + "/" + strconv.Itoa(n)
}

// der reads a list back, nil if there is none.
func (c *crl) der(ctx context.Context, tx engine.Tx, authority string) ([]byte, error) {
	if c.Number == 0 {
		return nil, nil
	}
	var whole []byte
	for n := range c.Parts {
		e, err := tx.Get(ctx, partKey(authority, c.Generation, n))
		if err != nil {
			return nil, err
		}
		if !e.Exists() {
			return nil, errs.New(errs.Unavailable, "the CRL was replaced twice while it was being read: ask again")
		}
		if c.Parts == 1 {
			return e.Value, nil
		}
		whole = append(whole, e.Value...)
	}
	return whole, nil
}

func (c *crl) next() time.Time { return time.Unix(c.Next, 0).UTC() }

// dropParts removes a generation that nobody reads any more.
func dropParts(ctx context.Context, tx engine.Tx, authority, generation string) error {
	folder := dataFolder + authority + "/" + generation + "/"
	names, err := tx.List(ctx, folder, "", 0)
	for _, name := range names {
		tx.Delete(folder + name)
	}
	return err
}

// folders returns the names of the folders or entries below folder, without slashes.
func folders(ctx context.Context, tx engine.Tx, folder string) ([]string, error) {
	names, err := tx.List(ctx, folder, "", 0)
	if err != nil {
		return nil, err
	}
	trimmed := make([]string, 0, len(names))
	for _, name := range names {
		trimmed = append(trimmed, strings.TrimSuffix(name, "/"))
	}
	return trimmed, nil
}
