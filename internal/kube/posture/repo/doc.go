// Package repo looks for secrets in a Git repository, in everything that its
// database has: also what no branch reaches any more, until Git collects it. It finds
// manifests of Secrets in clear, values that the cluster has now (by fingerprint), and
// tokens by their issuers' prefixes, private keys, passwords in URLs. Nothing is taken
// for a secret only because it looks random. A value never leaves this package: a
// Leak has its place and prints.
//
// Git itself reads the objects (`git cat-file --batch-all-objects`), in the order
// of its packs, one object in memory for each processor: it is the one reader of every
// repository there is. It is run so that nothing of the repository's configuration is
// executed and nothing is fetched. A folder without Git is read as it lies there.
//
// Start reading at Look; scan.go finds, git.go reads.
package repo
