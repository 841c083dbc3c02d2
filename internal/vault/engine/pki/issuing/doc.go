// Package issuing decides what goes into a certificate: pure functions from a role,
// what was asked for and, where there is one, a certificate request, to a
// template, or to the reason why not. It stores and signs nothing.
//
// Reasons name the rule and the place ("name 2 of alt_names"), never the value.
//
// Start reading at Role.Template.
package issuing
