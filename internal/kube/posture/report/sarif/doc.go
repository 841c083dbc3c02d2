// Package sarif writes a report as SARIF 2.1.0 (OASIS, 27 March 2020), which code
// hosts show. Findings keep their identity by partialFingerprints.
//
// Start reading at Write.
package sarif
