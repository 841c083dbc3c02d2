package policy

import "fmt"

// DefaultText is what the policy "default" says until somebody changes it:
// what every token needs to look after itself and nothing more.
const DefaultText = `# Given to every token unless it asks for no default policy.
# Edit it to suit; it cannot be deleted.

# A token may look at itself, live longer and end itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# It may ask what it is allowed to do.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# It may look at and renew a lease whose ID it knows.
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}

# Its cubbyhole is its own: nobody else can reach it.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# It may wrap values for others and unwrap what it was given.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashing needs nothing that is stored.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}
`

const wrappingText = `# What a response-wrapping token may do: give up what it wraps.
path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
`

// Root returns the policy that alone grants everything. It has no text.
func Root() *Policy { return &Policy{name: RootName, root: true} }

// Wrapping returns the policy of response-wrapping tokens.
func Wrapping() *Policy {
	p := &Policy{name: WrappingName, text: wrappingText}
	if err := p.parse(); err != nil {
		panic(fmt.Sprintf("the built-in policy %s does not parse: %v", WrappingName, err))
	}
	return p
}
