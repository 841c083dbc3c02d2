// Package doctor says why something about a secret does not work. A Case is what
// was read, without a value; a symptom is a function of it, in a folder below this
// one: start (a pod that does not), stale (a pod on an old credential), stuck (an
// ExternalSecret that does not sync), denied (a right that is missing), inject (an
// injection or a mount that did not happen). Package look reads a Case.
//
// Start reading at Case and Diagnosis.
package doctor
