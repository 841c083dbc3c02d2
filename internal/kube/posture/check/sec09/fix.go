package sec09

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// fix is the patch that mounts the Secret as files in place of variables.
func fix(h *check.Holder, u *consumer.Use) check.Fix {
	if h.Ref.Kind == "Pod" {
		return check.Fix{Text: fmt.Sprintf("Make the pod anew with a volume of Secret %s, mounted read-only, in place of the variable.", u.Secret)}
	}
	return check.Fix{Patch: patch(h, u)}
}

// patch is a strategic merge patch: kubectl patch KIND -n NS NAME --patch-file FILE.
// A name of the volume is made of the Secret's, so that patches of several variables
// fit together.
func patch(h *check.Holder, u *consumer.Use) string {
	const dir = "/etc/secrets/"
	volume := strings.ReplaceAll(u.Secret, ".", "-")
	volume = "secret-" + volume[:min(len(volume), 50)]
	container := map[string]any{
		"name": u.Container, "volumeMounts": []any{map[string]any{"name": volume, "mountPath": dir + u.Secret, "readOnly": true}},
	}
	comment := fmt.Sprintf("# The application has to read the files of %s%s. Take envFrom's secretRef %s out by hand: patches replace that list whole.\n", dir, u.Secret, u.Secret)
	if u.Kind == consumer.UseEnv {
		file := dir + u.Secret + "/"
		if u.Key != "" {
			file += u.Key
		}
		container["env"] = []any{map[string]any{"name": u.Where, "$patch": "delete"}, map[string]any{"name": u.Where + "_FILE", "value": file}}
		comment = fmt.Sprintf("# The application has to read the file that %s_FILE names; many images do already.\n", u.Where)
	}
	list := "containers"
	if strings.Contains(h.Container(u.Container), ".initContainers[") {
		list = "initContainers"
	}
	var body any = map[string]any{
		"volumes": []any{map[string]any{"name": volume, "secret": map[string]any{"secretName": u.Secret}}},
		list:      []any{container},
	}
	parts := strings.Split(h.Spec, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		body = map[string]any{parts[i]: body}
	}
	text, err := yaml.Marshal(body)
	if err != nil {
		return ""
	}
	kind := strings.ToLower(h.Ref.Kind)
	return fmt.Sprintf("# kubectl patch %s -n %s %s --patch-file=THIS-FILE\n%s%s", kind, h.Ref.Namespace, h.Ref.Name, comment, text)
}
