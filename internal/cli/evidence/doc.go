// Package evidence is what no API server tells and a user may give: files of the
// control plane, audit logs, repositories. It puts them into what was seen of a
// cluster, before anybody asks about that.
//
// Start reading at Flags.
package evidence
