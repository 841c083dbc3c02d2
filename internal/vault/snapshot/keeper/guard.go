package keeper

import (
	"io"
	"os"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/room"
)

// guard is the scratch file of a snapshot. Each part that is written to it, or read from
// it to be restored beside it, must leave the disk room: the vault writes to the same
// one, and goes before its snapshots.
type guard struct {
	*os.File
	free  func() (room.Space, error)
	since int // bytes since it was last asked
}

const (
	leave = 256 << 20 // bytes that are left to the vault
	part  = 8 << 20   // between two questions
)

// Write implements io.Writer.
func (g *guard) Write(b []byte) (int, error) {
	if err := g.ask(len(b)); err != nil {
		return 0, err
	}
	return g.File.Write(b)
}

// Read implements io.Reader.
func (g *guard) Read(b []byte) (int, error) {
	if err := g.ask(len(b)); err != nil {
		return 0, err
	}
	return g.File.Read(b)
}

// WriteTo hides that of os.File, which would not ask.
func (g *guard) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{g}) }

// ReadFrom likewise.
func (g *guard) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{g}, r) }

// ask returns Exhausted if there is too little room. Where that is not known there is enough.
func (g *guard) ask(n int) error {
	if g.since -= n; g.since > 0 {
		return nil
	}
	g.since = part
	now, err := g.free()
	if err != nil || now.Free >= leave {
		return nil
	}
	return errs.Newf(errs.Exhausted, "the disk of %s has %d MiB left, which are the vault's: make room, or give the data directory a larger disk; a trial takes twice what the vault has",
		g.Name(), now.Free>>20)
}
