package rbac

import (
	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// pushing returns what PushSecrets need in each namespace worked in, beside working.
func pushing() []Rule {
	return []Rule{
		rule("to see what is to be pushed", v1.Group, "pushsecrets", "list", "watch"),
		rule("to say what came of it, and before, what is about to be in a store", v1.Group, "pushsecrets/status", "patch"),
		rule("for the finalizer with deletionPolicy Delete, and to say which generated credentials are in stores", v1.Group, "pushsecrets", "patch"),
		rule("to ask what is in stores before a generated credential is taken back", v1.Group, "pushsecrets", "get"),
		rule("for the finalizer of stores that something is to be deleted from one day", v1.Group, "secretstores", "patch"),
	}
}

// pushingToCluster is what PushSecrets need for ClusterSecretStores.
func pushingToCluster() Rule {
	return rule("for the finalizer of stores that something is to be deleted from one day", v1.Group, "clustersecretstores", "patch")
}

// spreading returns what ClusterExternalSecrets need, and ClusterPushSecrets if push.
func spreading(push bool) []Rule {
	rules := []Rule{
		rule("to see what is to be in many namespaces", v1.Group, "clusterexternalsecrets", "list", "watch"),
		rule("to say what came of it", v1.Group, "clusterexternalsecrets/status", "patch"),
		rule("to take off the finalizer of an operator that is gone", v1.Group, "clusterexternalsecrets", "patch"),
		rule("to set blockOwnerDeletion where OwnerReferencesPermissionEnforcement is on", v1.Group, "clusterexternalsecrets/finalizers", "update"),
		rule("to make ExternalSecrets, and to delete those that are its own", v1.Group, "externalsecrets", "create", "delete"),
	}
	if push {
		rules = append(rules,
			rule("to see what is to be in many namespaces", v1.Group, "clusterpushsecrets", "list", "watch"),
			rule("to say what came of it", v1.Group, "clusterpushsecrets/status", "patch"),
			rule("to set blockOwnerDeletion where OwnerReferencesPermissionEnforcement is on", v1.Group, "clusterpushsecrets/finalizers", "update"),
			rule("to make PushSecrets, and to delete those that are its own", v1.Group, "pushsecrets", "create", "delete"),
		)
	}
	return rules
}
