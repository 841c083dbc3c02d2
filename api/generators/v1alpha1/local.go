package v1alpha1

// PasswordSpec says what passwords are made of.
type PasswordSpec struct {
	// How many characters.
	// +kubebuilder:default=24
	Length int `json:"length"`
	// How many of them are digits; a quarter when left out.
	// +optional
	Digits *int `json:"digits,omitempty"`
	// How many of them are symbols; a quarter when left out.
	// +optional
	Symbols *int `json:"symbols,omitempty"`
	// The symbols to draw from.
	// +optional
	SymbolCharacters *string `json:"symbolCharacters,omitempty"`
	// Leaves out upper case letters.
	// +kubebuilder:default=false
	NoUpper bool `json:"noUpper"`
	// Lets a character stand in a password more than once.
	// +kubebuilder:default=false
	AllowRepeat bool `json:"allowRepeat"`
	// The keys to make a password for, each another; "password" when left out.
	// +optional
	SecretKeys []string `json:"secretKeys,omitempty"`
	// How the password is written.
	// +optional
	// +kubebuilder:default="raw"
	// +kubebuilder:validation:Enum=base64;base64url;base32;hex;raw
	Encoding *string `json:"encoding,omitempty"`
}

// SSHKeySpec says what pair of keys is made.
type SSHKeySpec struct {
	// +optional
	// +kubebuilder:default="rsa"
	// +kubebuilder:validation:Enum=rsa;ecdsa;ed25519
	KeyType string `json:"keyType,omitempty"`
	// Bits: for rsa 2048 (when left out) to 8192, for ecdsa 256 (when left out), 384 or 521.
	// +optional
	// +kubebuilder:validation:Minimum=256
	// +kubebuilder:validation:Maximum=8192
	KeySize *int `json:"keySize,omitempty"`
	// +optional
	Comment string `json:"comment,omitempty"`
}

// UUIDSpec is empty.
type UUIDSpec struct{}

// FakeSpec is what is given.
type FakeSpec struct {
	// The operator that answers, by its --controller-class; any when empty.
	// +optional
	Controller string `json:"controller,omitempty"`
	// +optional
	Data map[string]string `json:"data,omitempty"`
}
