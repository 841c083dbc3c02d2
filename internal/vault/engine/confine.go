package engine

import (
	"context"
	"strings"
)

// Confine returns a view of tx in which every key lies below prefix ("" or
// ending in "/"). Keys cannot climb out of it: they are only ever appended.
func Confine(tx Tx, prefix string) Tx {
	if prefix == "" {
		return tx
	}
	return &confined{tx, prefix}
}

type confined struct {
	tx     Tx
	prefix string
}

func (c *confined) Get(ctx context.Context, key string) (Entry, error) {
	e, err := c.tx.Get(ctx, c.prefix+key)
	e.Key = strings.TrimPrefix(e.Key, c.prefix)
	return e, err
}

func (c *confined) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	return c.tx.List(ctx, c.prefix+folder, after, limit)
}

func (c *confined) Put(key string, value []byte) { c.tx.Put(c.prefix+key, value) }
func (c *confined) Delete(key string)            { c.tx.Delete(c.prefix + key) }
func (c *confined) Emit(e Event)                 { c.tx.Emit(e) }
