// Package subscribe turns what stores say about changes into ExternalSecrets to
// refresh. It keeps one subscription per store object; after every connect, the
// first included, all objects of that store are checked once, since what
// happened before is unknown. A store that sends no changes leaves the refresh
// interval, and is asked again from time to time.
//
// Start reading at Hub.
package subscribe
