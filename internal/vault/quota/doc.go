// Package quota says how much of the vault one client, mount or role may use:
// requests in a time (rate limits, for each client address) and live leases.
//
//	quota/rate-limit/<name>    a Rule, as JSON
//	quota/lease-count/<name>   likewise
//	quota/config               Settings
//
// Of the rules that fit a request the most special one holds: role, path,
// mount, namespace, all. What is counted is in memory; nothing is written for it.
//
// Start reading at Book.Admit.
package quota
