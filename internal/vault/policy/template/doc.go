// Package template reads the paths of policies that name whoever asks:
//
//	secret/data/{{identity.entity.name}}/*
//
// A path is read once, when its policy is parsed. Expanding it puts values in
// the place of its variables, and refuses every value that could turn into a
// wildcard, a further segment or nothing at all (GHSA-59w7).
//
// Start reading at Parse, then Path.Expand.
package template
