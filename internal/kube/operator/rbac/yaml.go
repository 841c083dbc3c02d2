package rbac

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// YAML renders the objects for o, each rule below its reason.
func YAML(o Options) ([]byte, error) {
	return render(Roles(o), Objects(o))
}

// render writes roles, each followed by its binding.
func render(roles []Role, objects []Object) ([]byte, error) {
	var out bytes.Buffer
	for i, object := range objects {
		raw, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		if i%2 == 1 { // a binding
			out.Write(raw)
			continue
		}
		n := 0
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(line, "- apiGroups:") || strings.HasPrefix(line, "- nonResourceURLs:") {
				fmt.Fprintf(&out, "# %s\n", roles[i/2].Rules[n].Why)
				n++
			}
			out.WriteString(line)
		}
	}
	return out.Bytes(), nil
}
