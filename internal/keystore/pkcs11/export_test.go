package pkcs11

// PID is that of the child; 0 if there is none.
func (k *Key) PID() int { return k.helper.PID() }
