package figure

// Figure is one result, as build/bench.json has it.
type Figure struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Reference float64 `json:"reference"` // what Value is compared with, in the same unit
	Ratio     float64 `json:"ratio"`     // Value / Reference
	Bound     float64 `json:"bound"`     // of Ratio; of Value where Reference is the bound itself
	OK        bool    `json:"ok"`

	sign string // how the bound reads: "≥", "≤"
}

// AtLeast is a figure whose ratio to reference must not be below bound.
func AtLeast(bound float64, name string, value float64, unit string, reference float64) Figure {
	f := Figure{Name: name, Value: value, Unit: unit, Reference: reference, Bound: bound, sign: "≥"}
	f.Ratio = ratio(value, reference)
	f.OK = f.Ratio >= bound
	return f
}

// AtMost is a figure whose ratio to reference must not be above bound.
func AtMost(bound float64, name string, value float64, unit string, reference float64) Figure {
	f := Figure{Name: name, Value: value, Unit: unit, Reference: reference, Bound: bound, sign: "≤"}
	f.Ratio = ratio(value, reference)
	f.OK = reference > 0 && f.Ratio <= bound
	return f
}

// Within is a figure that has a bound of its own and nothing to compare it with.
func Within(bound float64, name string, value float64, unit string) Figure {
	return Figure{
		Name: name, Value: value, Unit: unit, Reference: bound, Ratio: ratio(value, bound), Bound: bound,
		OK: value <= bound, sign: "≤",
	}
}

// Failed stands for a benchmark that could not be run.
func Failed(name string) Figure { return Figure{Name: name} }

func ratio(value, reference float64) float64 {
	if reference <= 0 {
		return 0
	}
	return value / reference
}
