package sec09

import (
	"fmt"
	"strings"

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
	list := "containers"
	if strings.Contains(h.Container(u.Container), ".initContainers[") {
		list = "initContainers"
	}
	var out strings.Builder
	out.WriteString("# " + check.Command("kubectl patch %s -n %s %s --patch-file=THIS-FILE", strings.ToLower(h.Ref.Kind), h.Ref.Namespace, h.Ref.Name) + "\n")
	if u.Kind == consumer.UseEnv {
		_, _ = fmt.Fprintf(&out, "# The application has to read the file that %s_FILE names; many images do already.\n", check.Word(u.Where))
	} else {
		_, _ = fmt.Fprintf(&out, "# The application has to read the files of %s%s. Take envFrom's secretRef %s out by hand: patches replace that list whole.\n", dir, check.Word(u.Secret), check.Word(u.Secret))
	}
	indent := ""
	for part := range strings.SplitSeq(h.Spec, ".") {
		out.WriteString(indent + part + ":\n")
		indent += "  "
	}
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, indent+format+"\n", args...) } // a Builder never fails
	line("volumes:")
	line("- {name: %q, secret: {secretName: %q}}", volume, u.Secret)
	line("%s:", list)
	line("- name: %q", u.Container)
	if u.Kind == consumer.UseEnv {
		line("  env:")
		line("  - {name: %q, $patch: delete}", u.Where)
		line("  - {name: %q, value: %q}", u.Where+"_FILE", dir+u.Secret+"/"+u.Key)
	}
	line("  volumeMounts:")
	line("  - {name: %q, mountPath: %q, readOnly: true}", volume, dir+u.Secret)
	return out.String()
}
