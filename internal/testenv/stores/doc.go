// Package stores keeps vaults that earlier versions wrote, one folder of
// testdata for each, and opens them: what a version wrote, every later one reads,
// until docs/operations/upgrades.md says otherwise.
//
//	testdata/NAME/store.tar.gz    the data directory, without TLS and audit logs
//	testdata/NAME/manifest.json   shares, root token, what else was handed out, which steps the version knew
//
// A new one is made of a binary, before its version is released:
//
//	STRONGKEEP_STORE_OF=/path/to/strongkeep STRONGKEEP_STORE_NAME=0.1.0 go test -run TestMake ./internal/testenv/stores
//
// Start reading at steps.
package stores
