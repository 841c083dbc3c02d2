package chain

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// ShortSize is how many bytes of a line's hash a checkpoint repeats.
const ShortSize = 8

// Tree is a transparency log of which only the right edge is kept: enough to
// add leaves and to know the root. The zero Tree is empty. It may be copied.
type Tree struct {
	size int64
	// edge holds the roots of the complete subtrees, largest first: one for
	// each bit that is set in size.
	edge [63]tlog.Hash
}

// Leaf returns the hash of a line without its line end (RFC 6962, section 2.1).
func Leaf(line []byte) tlog.Hash { return tlog.RecordHash(line) }

// Size returns how many leaves there are.
func (t *Tree) Size() int64 { return t.size }

// Add appends a leaf.
func (t *Tree) Add(leaf tlog.Hash) {
	n := bits.OnesCount64(uint64(t.size))
	for range bits.TrailingZeros64(^uint64(t.size)) { // as a carry runs through a counter
		n--
		leaf = tlog.NodeHash(t.edge[n], leaf)
	}
	t.edge[n] = leaf
	t.size++
}

// Root returns the root hash; that of an empty tree is the hash of nothing.
func (t *Tree) Root() tlog.Hash {
	n := bits.OnesCount64(uint64(t.size))
	if n == 0 {
		return sha256.Sum256(nil)
	}
	root := t.edge[n-1]
	for i := n - 2; i >= 0; i-- {
		root = tlog.NodeHash(t.edge[i], root)
	}
	return root
}

// appendEdge appends the edge's hashes.
func (t *Tree) appendEdge(dst []byte) []byte {
	for i := range bits.OnesCount64(uint64(t.size)) {
		dst = append(dst, t.edge[i][:]...)
	}
	return dst
}

// treeOf returns the tree with this edge. Kind Invalid: the edge does not fit the size.
func treeOf(size int64, edge []byte) (Tree, error) {
	t := Tree{size: size}
	n := bits.OnesCount64(uint64(size))
	if size < 0 || len(edge) != n*tlog.HashSize {
		return t, errs.Newf(errs.Invalid, "a tree of %d lines has an edge of %d bytes, not %d", size, n*tlog.HashSize, len(edge))
	}
	for i := range n {
		copy(t.edge[i][:], edge[i*tlog.HashSize:])
	}
	return t, nil
}
