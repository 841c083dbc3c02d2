package kubesync

import (
	"maps"
	"testing"
)

func TestCountWrites(t *testing.T) {
	got := countWrites([]byte(`# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",resource="secrets",scope="resource",subresource="",verb="GET",version="v1"} 9
apiserver_request_total{code="200",component="apiserver",resource="secrets",scope="resource",subresource="",verb="APPLY",version="v1"} 2
apiserver_request_total{code="409",component="apiserver",resource="secrets",scope="resource",subresource="",verb="APPLY",version="v1"} 1
apiserver_request_total{code="200",component="apiserver",resource="externalsecrets",scope="resource",subresource="status",verb="PATCH",version="v1"} 1e+06
apiserver_request_total{code="200",component="apiserver",resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 7
apiserver_request_total{code="201",component="apiserver",resource="tokenreviews",scope="resource",subresource="",verb="POST",version="v1"} 7
apiserver_request_total_other{verb="POST",resource="pods"} 5
`))
	want := map[string]int64{"APPLY secrets ": 3, "PATCH externalsecrets status": 1_000_000}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
