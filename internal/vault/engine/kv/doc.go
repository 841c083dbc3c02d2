// Package kv makes key/value engines: version 1 keeps one value per name,
// version 2 keeps versions and metadata. Both are folders below this one.
//
// Start reading at New.
package kv
