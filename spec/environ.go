package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

// Variables of Compose that choose what is loaded.
const (
	varFile          = "COMPOSE_FILE"
	varSeparator     = "COMPOSE_PATH_SEPARATOR"
	varProject       = "COMPOSE_PROJECT_NAME"
	varProfiles      = "COMPOSE_PROFILES"
	varEnvFiles      = "COMPOSE_ENV_FILES"
	varNoDefaultEnv  = "COMPOSE_DISABLE_ENV_FILE"
	defaultSeparator = ":"
)

// environment is what ${VARIABLES} see: the process's own, then the files of
// --env-file, or .env of dir.
type environment struct {
	vars   types.Mapping
	report *report
	files  []string // of --env-file; read already
}

func newEnvironment(o Options, r *report) *environment {
	e := &environment{vars: types.Mapping{}, report: r}
	for _, entry := range o.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			e.vars[name] = value
		}
	}
	e.files = o.EnvFiles
	if list := e.vars[varEnvFiles]; len(e.files) == 0 && list != "" {
		e.files = strings.Split(list, ",")
	}
	if len(e.files) > 0 {
		e.read(e.files)
	}
	return e
}

// dotenv reads dir/.env unless env files were named or it is switched off.
func (e *environment) dotenv(dir string) {
	off, _ := strconv.ParseBool(e.vars[varNoDefaultEnv])
	path := filepath.Join(dir, ".env")
	if len(e.files) > 0 || off {
		return
	}
	e.report.looks(path)
	if readable(path) == nil {
		e.read([]string{path})
	}
}

// read adds what is not set yet.
func (e *environment) read(files []string) {
	abs := make([]string, len(files))
	for i, f := range files {
		path, err := filepath.Abs(strings.TrimSpace(f))
		e.report.looks(path)
		if err != nil || !isFile(path) {
			e.report.global(shown(path), "env-file", "cannot read env file: no such file", "")
			return
		}
		abs[i] = path
	}
	for _, path := range abs {
		vars, err := dotenv.GetEnvFromFile(e.vars, []string{path})
		if err != nil {
			e.report.envFile(place{}, "env file", err)
			continue
		}
		e.vars = e.vars.Merge(vars)
	}
}

var (
	dotenvFile = regexp.MustCompile(`^failed to read ([^\n]+?): `)
	dotenvLine = regexp.MustCompile(`^line (\d+): `)
)

// envFile reports an error of the dotenv parser for an env file or label file, in
// that file where it says so.
func (r *report) envFile(at place, what string, err error) {
	message := err.Error()
	d := Diagnostic{Rule: strings.ReplaceAll(what, " ", "-"), Severity: Error}
	if m := dotenvFile.FindStringSubmatch(message); m != nil {
		d.File, message = shown(m[1]), message[len(m[0]):]
	} else if at.from != nil {
		r.add(at, d.Rule, message, "")
		return
	}
	if m := dotenvLine.FindStringSubmatch(message); m != nil {
		d.Line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	if errors.Is(err, fs.ErrPermission) {
		message = "permission denied"
	}
	d.Message = fmt.Sprintf("cannot read %s: %s", what, message)
	r.append(d)
}
