// Package origin says where the content of a Secret comes from, by what the objects
// around it say: who makes it, who owns it, its type, labels and annotations,
// and who wrote its data. The surest is asked first.
//
// Start reading at Of.
package origin
