// Package certificatemanager reads certificates, with their keys, from AWS Certificate
// Manager. It is for one login.
//
// Start reading at Store.Read.
package certificatemanager
