// Package configure takes the API servers of a cluster from one EncryptionConfiguration
// to the next. It runs on each control-plane node, with that node's file, and asks all
// API servers which file they have in force: they tell its hash in their metrics. The
// files are the same on all nodes, so that a hash says which step a server is at.
// Nothing is remembered elsewhere: a run that was killed is followed by one that reads
// the same world.
//
// A file is written only if it may be in force beside that of every API server
// (config.Together), so that none ever meets what it cannot read.
//
// Start reading at Look and Run.
package configure
