// Package keeper keeps the answers of the checks current: it looks at the cluster now
// and then, asks all checks, remembers what was found and when it went (package
// history), writes reports where the cluster has such objects (policyreport), and
// shows it all as metrics. The operator runs one, where it was elected.
//
// Between two looks it holds nothing of the cluster: what it knows of the look before
// is in the history, so that a kill loses at most the look under way.
//
// Start reading at Keeper.Start.
package keeper
