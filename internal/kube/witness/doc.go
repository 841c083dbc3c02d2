// Package witness is the node's word: it reads the files that the kubelet has put
// into the volumes of pods, and answers with their HMACs under a key that the
// operator makes for one question. Neither side sends content; nothing that is
// sent or kept can be compared with another answer.
//
//	POST /v1/digests  {"key": base64 of 32 bytes, "files": [{"pod": UID, "volume": NAME, "path": PATH}]}
//	                  {"files": [{"digest": base64} or {"reason": TEXT}]}   in the same order
//
// It answers the operator's ServiceAccount only: the bearer token is reviewed by
// the API server, for an audience that names this node, so that a token that one
// witness has seen opens no other. The operator knows the witness by the SHA-256
// of its public key, which the witness writes on its own pod at every start.
//
// What is read is below volumes/kubernetes.io~{secret,projected,csi} of one pod;
// os.Root keeps links from leading out of the volume.
//
// The other side is package rotate/evidence/file.
//
// Start reading at Server.ServeHTTP, then Reader.Digest.
package witness
