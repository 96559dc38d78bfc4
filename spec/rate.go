package spec

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Rate is a speed in bits a second; 0 is none given.
type Rate uint64

const rateHint = "write bits a second: 800bit, 64kbit, 10mbit, 1.5gbit"

var ratePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([kmg]?)bit$`)

// minRate is the least rate that lets the largest frame through within 1.5 s.
const minRate = 8000

// ParseRate reads a number with the unit bit, kbit, mbit or gbit; k is 1000.
func ParseRate(s string) (Rate, error) {
	m := ratePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no rate", s)
	}
	f, err := strconv.ParseFloat(m[1], 64)
	bits := math.Round(f * map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[m[2]])
	if err != nil || bits > 1e15 {
		return 0, fmt.Errorf("the rate %s is out of range", s)
	}
	if bits < minRate {
		return 0, fmt.Errorf("the rate %s is below %s", s, Rate(minRate))
	}
	return Rate(bits), nil
}

// String is the shortest form that ParseRate reads back.
func (r Rate) String() string {
	units := []struct {
		name string
		size Rate
	}{{"g", 1e9}, {"m", 1e6}, {"k", 1e3}}
	for _, u := range units {
		if r > 0 && r%u.size == 0 {
			return strconv.FormatUint(uint64(r/u.size), 10) + u.name + "bit"
		}
	}
	return strconv.FormatUint(uint64(r), 10) + "bit"
}
