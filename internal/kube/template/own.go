package template

// own returns the functions that the External Secrets Operator adds to sprig's.
func own() map[string]any {
	return map[string]any{}
}
