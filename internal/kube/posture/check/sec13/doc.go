// Package sec13 asks whether secrets are in Git, in any version of any file, also
// of commits that were deleted. What the cluster has now and is in Git is certain;
// what only looks like a secret is probable.
//
// Start reading at Check.
package sec13
