package leader

import (
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where it is kept.
const (
	Key      = "core/leader"
	AliveKey = "core/leader-alive"
)

// Node is one process, as others see it.
type Node struct {
	ID      string `json:"id"`                // random, of one start of the process
	Name    string `json:"name,omitempty"`    // for people
	Address string `json:"address,omitempty"` // where clients reach it, a URL
}

// NodeStatus is a process that has the vault open. What is stored of it is JSON.
type NodeStatus struct {
	Node
	Version string    `json:"version"`
	Format  int       `json:"format,omitempty"` // the newest of the store that it reads; 0 = 1
	Since   time.Time `json:"since"`            // when it opened the vault, by its clock

	Heard   time.Time `json:"-"` // when it last wrote, by the clock of who looks; zero: not since that one opened the vault
	Alive   bool      `json:"-"`
	Leading bool      `json:"-"`
	Self    bool      `json:"-"` // it is who looks
}

// record is the value of Key, as JSON. A record without a node says that the place is free.
type record struct {
	Node
	Since time.Time `json:"since"` // by that node's clock; for people only
}

// place is what a node has seen of both entries.
type place struct {
	record
	leader, alive store.Revision // 0 = was never written
}

func (p place) free() bool { return p.ID == "" }

func decode(e store.Entry) (record, error) {
	var r record
	if !e.Exists() {
		return r, nil
	}
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return r, errs.Newf(errs.Internal, "the entry %s cannot be read; nobody does background work until it is right or deleted", Key)
	}
	return r, nil
}
