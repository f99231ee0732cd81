// Package rehearsal runs recipes in simulated worlds and says what they would do.
// Start with a World, from Empty, ReadWorld or Snapshot, and with Run, which returns
// the Plan: data, and by Plan.Write text. Specs runs the specs of recipes, and tries
// their scenarios against faults.
//
// A module is rehearsed when it takes its connections from servers.Access. A function
// that acts on anything else is refused with the kind not_modelled.
//
// What is stable: the functions here, the fields of Options, Result and SpecResult,
// and the format of plans and world files, which have a version. The version of this
// module is 0, so that names may still change.
package rehearsal
