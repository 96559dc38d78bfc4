package scheduler

import "testing"

func TestAttestation(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "true": "true", "false": "", "1": "true", "disabled=false": "true", "disabled=true,mode=max": "",
		"mode=max": "mode=max", "generator=reg/scan:1,disabled=false,A=b": "generator=reg/scan:1,A=b",
	} {
		if got, err := attestation(in); err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"max", "mode=max,", "=x", "disabled=perhaps"} {
		if got, err := attestation(bad); err == nil {
			t.Errorf("%q: %q, want an error", bad, got)
		}
	}
}
