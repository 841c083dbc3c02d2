package connection

import (
	"crypto/sha256"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// pools keeps at most two open databases per connection: with the current
// password, and while that changes with the next. One that a newer configuration
// replaces is closed when its last user is done with it.
type pools struct {
	mu     sync.Mutex
	open   map[poolKey]*pool
	closed bool
	ending sync.WaitGroup // databases that are being closed
}

type poolKey struct {
	name    string
	pending bool
}

// pool is one open database.
type pool struct {
	db      driver.Database
	version [sha256.Size]byte // of the configuration and password it was made with
	users   int
	retired bool
}

func newPools() *pools { return &pools{open: map[poolKey]*pool{}} }

// get returns the database of a connection, opened by open if there is none of
// this version. The caller gives it back to put.
func (p *pools) get(c *Connection, password string, open func() (driver.Database, error)) (*pool, error) {
	key := poolKey{c.Name, password != c.Password}
	version := sha256.Sum256([]byte(c.ID + "\x00" + password))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errs.New(errs.Unavailable, "the mount is being closed")
	}
	if old := p.open[key]; old != nil {
		if old.version == version {
			old.users++
			return old, nil
		}
		p.retire(key)
	}
	db, err := open() // connects to nothing yet
	if err != nil {
		return nil, err
	}
	made := &pool{db: db, version: version, users: 1}
	p.open[key] = made
	return made, nil
}

func (p *pools) put(used *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used.users--
	p.end(used)
}

// drop closes what is open for a connection.
func (p *pools) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retire(poolKey{name, false})
	p.retire(poolKey{name, true})
}

func (p *pools) retire(key poolKey) {
	if old := p.open[key]; old != nil {
		delete(p.open, key)
		old.retired = true
		p.end(old)
	}
}

// end closes a retired database that nobody uses, without waiting for it.
func (p *pools) end(old *pool) {
	switch {
	case !old.retired || old.users > 0:
	case p.closed: // a call that was under way: nobody waits
		go old.db.Close()
	default:
		p.ending.Go(old.db.Close)
	}
}

// close closes all and waits. Calls under way end by their own timeouts, and what they
// used is closed then.
func (p *pools) close() {
	p.mu.Lock()
	for key := range p.open {
		p.retire(key)
	}
	p.closed = true
	p.mu.Unlock()
	p.ending.Wait()
}
