package rehearsal

import "github.com/mepc/mepc-run/internal/plan"

// The plan as data. Its JSON is the file that mepc-run -n --out writes and mepc-run
// apply carries out: see Plan.Encode.
type (
	// Plan is what a rehearsal found out.
	Plan = plan.Plan
	// Entry is one thing that happened: an effect, a line, or that a step began.
	Entry = plan.Entry
	// Effect is a call that may change the world.
	Effect = plan.Effect
	// Log is a line that the recipe wrote.
	Log = plan.Log
	// Change is a thing that is different after the run.
	Change = plan.Change
	// Mark says what becomes of a thing.
	Mark = plan.Mark
	// Fact is something that the plan rests on.
	Fact = plan.Fact
	// Summary counts the changes.
	Summary = plan.Summary
	// PlanError is how a rehearsal failed.
	PlanError = plan.Error
	// PlanRecipe is what was rehearsed.
	PlanRecipe = plan.Recipe
	// PlanWorld is what it was rehearsed in.
	PlanWorld = plan.World
	// PlanOptions are what the run depends on besides its parameters.
	PlanOptions = plan.Options
	// Style says how Plan.Write shows a plan.
	Style = plan.Style
)

// The marks of changes.
const (
	Added   = plan.Added
	Changed = plan.Changed
	Removed = plan.Removed
	Same    = plan.Same
)

// ReadPlan reads what Plan.Encode wrote.
func ReadPlan(data []byte) (*Plan, error) { return plan.Decode(data) }
