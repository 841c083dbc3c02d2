package outbound

// Permit is what a dialler asks about each address before it connects.
func (cfg Config) Permit(address string) error { return cfg.permit(address) }
