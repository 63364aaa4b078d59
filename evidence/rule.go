package evidence

// Rule is a row of the catalogue, as far as a report or an auditor needs it.
type Rule struct {
	ID       string // "MD-AREA-NNN", never reused
	Area     string
	Title    string
	Severity Severity
	// Rationale says why the severity is what it is.
	Rationale string
	// Lint is the name of the check that decides; empty while none does.
	Lint string
	// Verdicts says what each outcome means for this rule.
	Verdicts       map[Outcome]string
	Remediation    string
	FalsePositives string
	Clauses        []Clause
}

// Relation says what a rule's outcome is to a clause.
type Relation string

// The relations.
const (
	RelationTests    Relation = "tests"    // the rule tests the clause itself
	RelationSupports Relation = "supports" // the outcome supports or contradicts
	RelationInput    Relation = "input"    // the outcome is input to an activity that the clause asks for
	RelationContext  Relation = "context"  // background
)

// Clause is a place in a standard or guidance.
type Clause struct {
	Source   string   // id of the source, such as "FDA-PM-2026"
	Edition  string   // edition or date of the source
	Clause   string   // locator within it
	Title    string   // subject in our words
	Relation Relation //
	Force    string   // "law", "non-binding guidance", ...
	Verified string   // "verified", "second-hand" or "recalled": how the text was checked
}
