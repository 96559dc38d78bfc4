package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// change applies one instruction of a Dockerfile to a configuration, as `import
// --change` takes them.
func change(c *v1.ImageConfig, line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return errors.New("it has no value")
	}
	var err error
	switch strings.ToUpper(word) {
	case "CMD":
		c.Cmd = commandLine(rest)
	case "ENTRYPOINT":
		c.Entrypoint = commandLine(rest)
	case "USER":
		c.User = rest
	case "WORKDIR":
		c.WorkingDir = rest
	case "STOPSIGNAL":
		c.StopSignal = rest
	case "ENV":
		err = pairs(rest, func(key, value string) { c.Env = append(c.Env, key+"="+value) })
	case "LABEL":
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		err = pairs(rest, func(key, value string) { c.Labels[key] = value })
	case "EXPOSE":
		c.ExposedPorts = addTo(c.ExposedPorts, rest, func(port string) string {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			return port
		})
	case "VOLUME":
		c.Volumes = addTo(c.Volumes, strings.Join(list(rest), " "), func(v string) string { return v })
	default:
		return fmt.Errorf("there is no change %s: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR are", word)
	}
	return err
}

// commandLine reads a JSON list, or a line for the shell.
func commandLine(s string) []string {
	var args []string
	if json.Unmarshal([]byte(s), &args) == nil {
		return args
	}
	return []string{"/bin/sh", "-c", s}
}

// list reads a JSON list or words.
func list(s string) []string {
	var items []string
	if json.Unmarshal([]byte(s), &items) == nil {
		return items
	}
	return strings.Fields(s)
}

func addTo(set map[string]struct{}, words string, as func(string) string) map[string]struct{} {
	if set == nil {
		set = map[string]struct{}{}
	}
	for word := range strings.FieldsSeq(words) {
		set[as(word)] = struct{}{}
	}
	return set
}

// pairs reads KEY=VALUE…, perhaps in quotes, or KEY VALUE.
func pairs(s string, each func(key, value string)) error {
	first, rest := quotedWord(s)
	if !strings.Contains(first, "=") {
		if rest = strings.TrimSpace(rest); rest == "" {
			return errors.New("it has no value")
		}
		each(first, rest)
		return nil
	}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		var word string
		word, s = quotedWord(s)
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q is not KEY=VALUE", word)
		}
		each(key, value)
	}
	return nil
}

// quotedWord takes the first word off s, without its quotes.
func quotedWord(s string) (word, rest string) {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return out.String(), s[i:]
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), ""
}
