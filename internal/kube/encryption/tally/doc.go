// Package tally tells what stored values are under where nobody may read etcd: it has an
// API server read every object, each from etcd, and believes what that counts meanwhile
// in its metrics. This is weaker than reading etcd (encryption/stored): it is the API
// server's own word, it names no value, and it says nothing of what was overwritten.
//
// Start reading at Verify and judge.
package tally
