package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

// unitDir is where systemd looks for units of the administrator; STACK_UNIT_DIR names
// another place, for images of machines.
const unitDir = "/etc/systemd/system"

func newEnable(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "enable",
		Short: "Bring the stack back when the machine boots",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runEnable(cmd.Context(), a) },
	}
}

func newDisable(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "disable",
		Short: "Leave the stack down when the machine boots",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDisable(cmd.Context(), a) },
	}
}

func runEnable(ctx context.Context, a *app) error {
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	if err := bootable(s); err != nil {
		return fmt.Errorf("cannot enable project %q: %w", s.Project, err)
	}
	u, err := a.unitOf(s)
	if err != nil {
		return fmt.Errorf("cannot enable project %q: %w", s.Project, err)
	}
	path := filepath.Join(a.unitDir(), u.name())
	if err := ours(path); err != nil {
		return err
	}
	wants := filepath.Join(a.unitDir(), "multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(u.text()), 0o644); err != nil {
		return err
	}
	err = os.Symlink(path, filepath.Join(wants, u.name()))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fmt.Fprintf(a.stderr, " Unit %s Enabled \n", path)
	return a.systemctl(ctx, []string{"daemon-reload"}, []string{"start", "--no-block", u.name()})
}

func runDisable(ctx context.Context, a *app) error {
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	u := unit{project: s.Project}
	path := filepath.Join(a.unitDir(), u.name())
	switch err := ours(path); {
	case err != nil:
		return err
	case !onDisk(path):
		return fmt.Errorf("project %q is not enabled", s.Project)
	}
	for _, p := range []string{filepath.Join(a.unitDir(), "multi-user.target.wants", u.name()), path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	fmt.Fprintf(a.stderr, " Unit %s Disabled \n", path)
	return a.systemctl(ctx, []string{"daemon-reload"})
}

func onDisk(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (a *app) unitDir() string {
	if dir := a.getenv("STACK_UNIT_DIR"); dir != "" {
		return dir
	}
	return unitDir
}

// systemctl tells a running systemd.
func (a *app) systemctl(ctx context.Context, calls ...[]string) error {
	if a.getenv("STACK_UNIT_DIR") != "" || !onDisk("/run/systemd/system") {
		return nil
	}
	for _, args := range calls {
		if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// ours refuses what somebody else made.
func ours(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !strings.HasPrefix(string(text), unitMark) {
		err = errors.New("it was not made by stack enable")
	}
	if err != nil {
		return fmt.Errorf("cannot touch unit %s: %w", path, err)
	}
	return nil
}

// unitOf describes the unit. What root is to execute at boot only root may write.
func (a *app) unitOf(s *scheduler.Store) (unit, error) {
	exe, err := os.Executable()
	if err != nil {
		return unit{}, err
	}
	for _, path := range []string{exe, filepath.Join(filepath.Dir(exe), "stack-shim"), filepath.Dir(exe)} {
		if err := rootOnly(path); err != nil {
			return unit{}, err
		}
	}
	u := unit{project: s.Project, exe: exe, state: s.Layout.Lib}
	if root := a.getenv("STACK_ROOT"); root != "" {
		u.root = filepath.Dir(s.Layout.Lib)
	}
	return u, nil
}

// rootOnly sees that nobody but root can change a file.
func rootOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than root can write %s", path)
	}
	return nil
}

// bootable sees that a boot can bring back what is recorded: nothing of it comes from
// an environment that is not there then, and nobody else wrote the record.
func bootable(s *scheduler.Store) error {
	w, err := s.LoadWish()
	if err != nil {
		return err
	}
	if w.Stack == nil || w.Down {
		return errors.New("it is not up")
	}
	var from []string
	for name, secret := range w.Stack.Secrets {
		if secret.Environment != "" {
			from = append(from, fmt.Sprintf("secret %s comes from variable %s", name, secret.Environment))
		}
	}
	if len(from) > 0 {
		slices.Sort(from)
		return fmt.Errorf("nobody sets variables when the machine boots: %s; give a file", strings.Join(from, ", "))
	}
	for _, path := range []string{s.Layout.Lib, filepath.Dir(s.WishPath()), s.WishPath()} {
		if err := rootOnly(path); err != nil {
			return err
		}
	}
	return nil
}
