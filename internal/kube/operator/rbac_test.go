package operator

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func addRBAC(s *runtime.Scheme) error { return rbacv1.AddToScheme(s) }

func auditFlags(dir string) ([]string, error) { return nil, nil }
