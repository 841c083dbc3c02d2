// Package content says what Secrets and ConfigMaps hold, as keyed digests: what
// stamps on pod templates are made of. Values are read, digested and dropped.
//
// Start reading at Digests.
package content
