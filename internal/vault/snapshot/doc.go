// Package snapshot keeps a whole store in a file, tells whether such a file is whole,
// and puts it into an empty store again.
//
// A snapshot holds the entries as they lie in the base store: sealed. It opens
// nothing by itself, and whoever has it needs what unseals the vault.
//
//	+-----------------+----------+-------------+----------------+-------+
//	| "SKSNAPSH"      | format 4 | length 4    | header, JSON   | crc 4 |
//	+-----+-----------+----------+-------------+----------------+-------+
//	| 1   | length 2  | length 4 | key         | value          | crc 4 |   for each entry
//	+-----+-----------+----------+-------------+----------------+-------+
//	| 2   | entries 8 | SHA-256 of all before it, 32                    |
//	|     | 1: signed, 0: not    | HMAC-SHA-256, 32; zero if not   | crc |
//	+-----+----------------------+---------------------------------+-----+
//
// Numbers are big-endian; each crc is CRC-32C of its row, so that what is damaged can
// be named; keys are in the order of their bytes, each once. The HMAC is of the
// SHA-256, under a key that the vault's keyring derives: only who has opened the vault
// can make one, and no entry can be left out or put back without it.
//
// What the package keeps in a store itself (Mark) is never part of a snapshot.
//
// Start reading at Write and NewReader, then Restore, Migrate, Open.
package snapshot
