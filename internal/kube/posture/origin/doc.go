// Package origin says where the content of a Secret, or of another object with
// credentials, comes from: by what makes it, who owns it, its type, its labels and
// annotations, and who wrote its data. The surest is asked first:
//
//  1. an object that was read and says that it makes it
//  2. its type: Kubernetes' tokens, Helm's records
//  3. its controller, by ownerReference. Other owners say only what it is deleted with
//  4. what a tool leaves on what it makes
//  5. who wrote its data last, if that is a program that is known
//  6. an owner that is not its controller
//  7. that some program wrote it, or the file it was read from
//
// There is one table for all who ask: checks, trace, inventory and doctor.
//
// Start reading at Index.Of; table.go has what is known of tools.
package origin
