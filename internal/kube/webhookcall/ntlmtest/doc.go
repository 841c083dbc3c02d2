// Package ntlmtest is a server that lets nobody in but by NTLM: it computes NTLMv2 by
// Microsoft's MS-NLMP itself, and knows who somebody is by their connection, as IIS does.
//
// Start reading at New.
package ntlmtest
