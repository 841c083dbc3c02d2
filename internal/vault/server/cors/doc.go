// Package cors answers browsers that were sent by pages of another origin (the
// CORS protocol of the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol).
//
// Start reading at Live.Answer.
package cors
