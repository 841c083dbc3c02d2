package main

// figure is one result, as build/bench.json has it.
type figure struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Reference float64 `json:"reference"` // what Value is compared with, in the same unit
	Ratio     float64 `json:"ratio"`     // Value / Reference
	Bound     float64 `json:"bound"`     // of Ratio; of Value where Reference is the bound itself
	OK        bool    `json:"ok"`

	sign string // how the bound reads: "≥", "≤"
}

// atLeast is a figure whose ratio to reference must not be below bound.
func atLeast(bound float64, name string, value float64, unit string, reference float64) figure {
	f := figure{Name: name, Value: value, Unit: unit, Reference: reference, Bound: bound, sign: "≥"}
	f.Ratio = ratio(value, reference)
	f.OK = f.Ratio >= bound
	return f
}

// atMost is a figure whose ratio to reference must not be above bound.
func atMost(bound float64, name string, value float64, unit string, reference float64) figure {
	f := figure{Name: name, Value: value, Unit: unit, Reference: reference, Bound: bound, sign: "≤"}
	f.Ratio = ratio(value, reference)
	f.OK = reference > 0 && f.Ratio <= bound
	return f
}

// within is a figure that has a bound of its own and nothing to compare it with.
func within(bound float64, name string, value float64, unit string) figure {
	return figure{
		Name: name, Value: value, Unit: unit, Reference: bound, Ratio: ratio(value, bound), Bound: bound,
		OK: value <= bound, sign: "≤",
	}
}

// failed stands for a benchmark that could not be run.
func failed(name string) figure { return figure{Name: name} }

func ratio(value, reference float64) float64 {
	if reference <= 0 {
		return 0
	}
	return value / reference
}
