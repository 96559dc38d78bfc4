package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/cmd/internal/cmdtest"
)

// binDir holds the two binaries that scripts run, built once.
var binDir string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	// Scripts wait more than they work; -parallel says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(max(3, runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if binDir = os.Getenv("STACK_TEST_BIN"); binDir != "" {
		return m.Run() // built elsewhere: there is no compiler in the QEMU guest
	}
	dir, err := os.MkdirTemp("", "stack-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	var flags []string
	if os.Getenv("STACK_TEST_RACE") != "" {
		flags = []string{"-race"}
		os.Setenv("GORACE", "atexit_sleep_ms=0") // or each command takes a second longer
	}
	entry := flags
	if len(flags) == 0 { // as the Makefile does; with cgo the C library has its own
		entry = []string{"-ldflags=-E=main.entry"}
	}
	if err := errors.Join(cmdtest.Build(dir, entry, "stack/cmd/stack"), cmdtest.Build(dir, flags, "stack/cmd/stack-shim")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binDir = dir
	return m.Run()
}

// TestScript runs the scripts of testdata/script with the real binaries, each in a
// project and state root of its own, and checks that nothing is left on the host.
func TestScript(t *testing.T) {
	cmdtest.NeedRoot(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			return setupScript(t, env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually": eventually,
			"http":       httpGet,
			"kill9":      kill9,
			"clean":      clean,
			"until":      until,
			"registry":   startRegistry,
			"machines":   machines(t),
			"base":       baseImage,
			"frontend":   buildFrontend,

			"kill-build-server": killServer,
		},
		Condition:     func(cond string) (bool, error) { return scriptCondition(t, cond) },
		UpdateScripts: os.Getenv("STACK_UPDATE_SCRIPTS") != "",
	})
}

// setupScript gives a script its surroundings. The root is short: socket paths and
// overlay options have limits that real users seldom meet.
func setupScript(t *testing.T, env *testscript.Env) error {
	root, err := os.MkdirTemp("", "st-")
	if err != nil {
		return err
	}
	project := "t" + strings.TrimPrefix(filepath.Base(root), "st-")
	env.Setenv("PATH", binDir+":"+os.Getenv("PATH"))
	env.Setenv("STACK_ROOT", root)
	env.Setenv("COMPOSE_PROJECT_NAME", project)
	env.Setenv("P", project)
	env.Setenv("REPO", repoDir(t))
	env.Setenv("NO_COLOR", "1")
	env.Defer(func() {
		left := leftovers(root, project)
		if t.Failed() {
			t.Logf("state of %s: %v", project, left)
		}
		others, _ := filepath.Glob(filepath.Join(root, "lib", "projects", "*")) // of scripts with several
		others = append(others, project)
		for _, p := range others {
			takeDown(t, root, filepath.Base(p))
		}
		for _, p := range others {
			p = filepath.Base(p)
			if left := settle(root, p); len(left) > 0 {
				t.Errorf("left on the host after down of %s:\n  %s", p, strings.Join(left, "\n  "))
			}
		}
		os.RemoveAll(root)
	})
	return nil
}

// takeDown ends a project, whatever the script left of it.
func takeDown(t *testing.T, root, project string) {
	down := exec.Command(filepath.Join(binDir, "stack"), "-p", project, "down", "-v", "-t", "0", "--remove-orphans")
	down.Env = append(os.Environ(), "STACK_ROOT="+root)
	if out, err := down.CombinedOutput(); err != nil {
		t.Errorf("cannot clean up %s: %v\n%s", project, err, out)
	}
}

func repoDir(t *testing.T) string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// settle waits for the last processes of a project to end and returns what stays.
func settle(root, project string) []string {
	var left []string
	for range 100 {
		if left = leftovers(root, project); len(left) == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left
}
