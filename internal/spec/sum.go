package spec

import "time"

// Sum counts the results of specs.
type Sum struct {
	Passed, Failed, Broken, Pending int
	Files                           int
	Seed                            int64 // that the order was drawn from; 0: as the tests stand
	Duration                        time.Duration
}

// Count sums up files. One that could not be run is an error.
func Count(files []*File) Sum {
	s := Sum{Files: len(files)}
	for _, f := range files {
		if f.Err != nil {
			s.Broken++
		}
		for _, r := range f.Results {
			switch r.Status {
			case Passed:
				s.Passed++
			case Failed:
				s.Failed++
			case Broken:
				s.Broken++
			case Pending:
				s.Pending++
			}
		}
	}
	return s
}

// Bad returns how many failed.
func (s Sum) Bad() int { return s.Failed + s.Broken }

// Total returns how many there are.
func (s Sum) Total() int { return s.Bad() + s.Passed + s.Pending }

// Printer shows what comes of specs.
type Printer interface {
	// File shows the results of a file. Files come in their order.
	File(*File)
	// End shows the sum of it all. Its error says that something could not be
	// written.
	End(Sum) error
}
