package keyring

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	// Folder is below what keys are stored.
	Folder  = "key/"
	maxName = 256 // bytes
)

var validName = regexp.MustCompile(`^\w(?:[\w.-]*\w)?$`)

// CheckName is asked where a key is made; others need not exist.
func CheckName(name string) error {
	if len(name) > maxName || !validName.MatchString(name) {
		return errs.Newf(errs.Invalid, "invalid key name: at most %d letters, digits, underscores, dots and hyphens, the last two not at either end", maxName)
	}
	return nil
}

// Load returns a key, nil if there is none. It is shared: clone it before a change.
func Load(ctx context.Context, tx engine.Tx, name string) (*key.Key, error) {
	entry, err := tx.Get(ctx, Folder+name)
	if err != nil || !entry.Exists() {
		return nil, err
	}
	return store.Decode(entry, key.Decode)
}

// Named loads the key that the path names. Without it the error is Invalid with
// the text missing: Vault answers 400, not 404.
func Named(ctx context.Context, tx engine.Tx, req *engine.Request, missing string) (*key.Key, error) {
	k, err := Load(ctx, tx, req.Params["name"])
	if err == nil && k == nil {
		err = errs.New(errs.Invalid, missing)
	}
	return k, err
}

// Exists reports whether the key is there that the path names.
func Exists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	entry, err := tx.Get(ctx, Folder+req.Params["name"])
	return entry.Exists(), err
}

// Change is one key before and after; nil is no key.
type Change struct {
	Name      string
	Old, Made *key.Key
	Operation string // for the event
}

// Apply stores a change. It reports whether the worker must look at what is
// due anew, once the change is committed.
func (c *Change) Apply(tx engine.Tx) (wake bool, err error) {
	if c.Made == nil {
		tx.Delete(Folder + c.Name)
	} else {
		stored, err := c.Made.Encode()
		if err != nil {
			return false, err
		}
		tx.Put(Folder+c.Name, stored)
	}
	before, after := dueKey(c.Old, c.Name), dueKey(c.Made, c.Name)
	if before != after {
		if before != "" {
			tx.Delete(before)
		}
		if after != "" {
			tx.Put(after, []byte{1})
		}
	}
	tx.Emit(engine.Event{Type: "transit/" + c.Operation, Path: "keys/" + c.Name, Metadata: map[string]string{
		"operation": c.Operation, "path": "keys/" + c.Name, "modified": "true",
	}})
	return after != "" && (c.Old == nil || !c.Made.Due().Equal(c.Old.Due())), nil
}

const due = "due/"

// dueKey is where the index says that a key rotates by itself; "" if it does not.
func dueKey(k *key.Key, name string) string {
	if k == nil || k.AutoRotate == 0 {
		return ""
	}
	return due + strconv.FormatInt(hourOf(k.Due()), 10) + "/" + name
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// DueBy returns the names of keys that the index has in the hour of now or
// before, and the beginnings of later hours in which it has others. There are as
// many hours as keys fall due in, however many keys there are.
func DueBy(ctx context.Context, tx engine.Tx, now time.Time) (names []string, later []time.Time, err error) {
	folders, err := tx.List(ctx, due, "", 0)
	if err != nil {
		return nil, nil, err
	}
	for _, folder := range folders {
		hour, err := strconv.ParseInt(strings.TrimSuffix(folder, "/"), 10, 64)
		if err != nil {
			return nil, nil, errs.New(errs.Internal, "the index of keys that are due is damaged")
		}
		if hour > hourOf(now) {
			later = append(later, time.Unix(hour*3600, 0).UTC())
			continue
		}
		below, err := tx.List(ctx, due+folder, "", 0)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, below...)
	}
	return names, later, nil
}

const configKeys = "config/keys"

// UpsertDisabled reports whether encrypting makes no keys on this mount.
func UpsertDisabled(ctx context.Context, tx engine.Tx) (bool, error) {
	entry, err := tx.Get(ctx, configKeys)
	return len(entry.Value) > 0 && entry.Value[0] == 1, err
}

// DisableUpsert says whether encrypting makes no keys on this mount.
func DisableUpsert(tx engine.Tx, disabled bool) {
	stored := []byte{0}
	if disabled {
		stored[0] = 1
	}
	tx.Put(configKeys, stored)
}
