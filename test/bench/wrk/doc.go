// Package wrk puts a server under load by the load generator of that name, and
// refuses to call fast what failed. The scripts beside it make the requests.
//
// Start reading at Run.
package wrk
