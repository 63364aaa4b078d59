package rules

import (
	"testing"

	"probity/lint/all"
)

// TestCatalogueAndChecks holds that every rule with a lint has its check, every
// check its rule, and that checks declare the parameters that rules set.
func TestCatalogueAndChecks(t *testing.T) {
	if err := Check(mustLoad(t), all.Checks()); err != nil {
		t.Error(err)
	}
}
