package cdi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Request asks for devices by what they can do, as Docker's requests do.
type Request struct {
	// Driver is a vendor ("nvidia"), a kind, "cdi" when IDs are full names, or empty.
	Driver       string
	Capabilities []string
	Count        int // -1 is all; IDs go before
	IDs          []string
}

// Select turns a request into the full names of devices.
func (r *Registry) Select(q Request) ([]string, error) {
	if q.Driver == "cdi" {
		return slices.Clone(q.IDs), nil
	}
	kind, err := r.kindOf(q)
	if err != nil {
		return nil, err
	}
	ids := q.IDs
	if len(ids) == 0 {
		if ids, err = r.count(kind, q.Count); err != nil {
			return nil, err
		}
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = kind + "=" + id
		if IsName(id) {
			names[i] = id
		}
	}
	return names, nil
}

// kindOf finds the kind that a request means.
func (r *Registry) kindOf(q Request) (string, error) {
	class := "gpu"
	if !slices.Contains(q.Capabilities, class) && len(q.Capabilities) > 0 {
		class = q.Capabilities[0]
	}
	switch {
	case IsKind(q.Driver):
		return q.Driver, nil
	case q.Driver != "":
		return q.Driver + ".com/" + class, nil
	}
	known := r.Kinds()
	for _, vendor := range []string{"nvidia.com", "amd.com", "intel.com"} {
		if kind := vendor + "/" + class; slices.Contains(known, kind) {
			return kind, nil
		}
	}
	for _, kind := range known {
		if strings.HasSuffix(kind, "/"+class) {
			return kind, nil
		}
	}
	return "", r.missing("any vendor's "+class, "")
}

// count chooses the first n devices of a kind. Vendors describe a device under
// several names and all of them as "all": only the numbers count where there are any.
func (r *Registry) count(kind string, n int) ([]string, error) {
	names := r.Names(kind)
	if n < 0 && slices.Contains(names, "all") {
		return []string{"all"}, nil
	}
	single := slices.DeleteFunc(slices.Clone(names), func(s string) bool { _, err := strconv.Atoi(s); return err != nil })
	if len(single) == 0 {
		single = slices.DeleteFunc(names, func(s string) bool { return s == "all" })
	}
	if n < 0 {
		n = len(single)
	}
	switch {
	case len(single) == 0:
		return nil, r.missing(kind, "all")
	case n > len(single):
		return nil, fmt.Errorf("%d devices of %s are wanted, the machine has %d", n, kind, len(single))
	}
	return single[:n], nil
}
