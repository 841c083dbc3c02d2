// Package generate decides, for each use of a generator by an ExternalSecret,
// whether the credential that its Secret holds is kept or another is made, and
// keeps what was made until a Secret holds it.
//
// A value is kept by reading it from the Secret, where the record says that it is
// as it was made (internal/kube/generator/record). Where a template made something
// else of it, it cannot be read back: then it is opaque, which is enough to see that
// nothing has to be written, and another is made when something has.
//
// Start reading at Turn.Values.
package generate
