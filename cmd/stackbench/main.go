package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The ratios that issue and design ask for.
const (
	floorWanted  = 2.3 // up of the most replicas, times the floor
	floorAllowed = 3.0 // beyond it --check fails
	dockerWanted = 15.0
)

// checkRounds is how many rounds --check makes at least, and those of --rounds at
// most.
const checkRounds = 3

type options struct {
	check    bool
	replicas []int
	rounds   int
	stack    string
	docker   string
	only     string
	reload   bool
	saves    int
	timeout  time.Duration
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "inside" {
		if err := inside(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "stackbench: %v\n", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	o, err := parse(args)
	if err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "stackbench: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string) (options, error) {
	var o options
	var replicas string
	f := flag.NewFlagSet("stackbench", flag.ContinueOnError)
	f.BoolVar(&o.check, "check", false, fmt.Sprintf("only stack and the floor; exit 1 above %.1f times the floor", floorAllowed))
	f.StringVar(&replicas, "replicas", "1,10,50", "numbers of replicas, ascending")
	f.IntVar(&o.rounds, "rounds", 11, "rounds of each, of which the median counts")
	f.StringVar(&o.stack, "stack", beside("stack"), "the stack binary")
	f.StringVar(&o.docker, "docker", "auto", "measure docker compose: auto or no")
	f.StringVar(&o.only, "only", "", "one contender by its name, for profiling: no ratios, no budgets; or runtimes")
	f.BoolVar(&o.reload, "reload", false, "only how saved files reach running replicas")
	f.IntVar(&o.saves, "saves", 1000, "how many saves --reload looks at")
	f.DurationVar(&o.timeout, "timeout", 170*time.Second, "give up and clean up after this long")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, s := range strings.Split(replicas, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			err = fmt.Errorf("cannot read --replicas %q: want numbers from 1 to 1000", replicas)
			fmt.Fprintln(f.Output(), err)
			return o, err
		}
		o.replicas = append(o.replicas, n)
	}
	o.rounds = max(1, o.rounds)
	return o, nil
}

// beside is the path of a program in this program's directory.
func beside(name string) string {
	exe, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(exe), name)
}

var errNotRoot = errors.New("containers need root; type instead:\n  sudo " + strings.Join(os.Args, " "))

// bench runs everything that o asks for and prints it.
func bench(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	if err := privateMounts(); err != nil {
		return err
	}
	d, err := newDisk(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	fmt.Printf("%sfiles:   %s\n", machine(), d)
	s := newStack(o.stack, d)
	if o.reload {
		return reload(ctx, s, d, o)
	}
	if o.only == "runtimes" {
		return besideRuntimes(ctx, s, d.dir, o.check)
	}
	floor, err := newFloor(d)
	if err != nil {
		return err
	}
	defer floor.close()
	t := &table{replicas: o.replicas}
	su := suite{rounds: o.rounds, contenders: []contender{s, floor, plain{}}, table: t}
	if o.check {
		su.enough = func(n int) bool { return t.passes(n, checkRounds) }
	}
	if o.only != "" {
		return su.profile(ctx, o.only, o.replicas)
	}
	if err := su.run(ctx, o.replicas); err != nil {
		return err
	}
	if !o.check && o.docker != "no" {
		if err := besideDocker(ctx, d, t); err != nil {
			return err
		}
	}
	t.print(os.Stdout)
	floor.printSteps(os.Stdout)
	if !o.check {
		if err := budgets(ctx, s, d.dir); err != nil {
			return err
		}
	}
	return errors.Join(besideRuntimes(ctx, s, d.dir, o.check), t.verdict(o.check))
}
