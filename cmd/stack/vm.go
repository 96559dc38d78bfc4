package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stack/runtime/vm/kernel"
)

func newVM(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "vm", Short: "Manage what virtual machines need"}
	kernels := &cobra.Command{Use: "kernel", Short: "Manage the kernel of virtual machines"}
	kernels.AddCommand(newKernelInstall(a), newKernelShow(a))
	cmd.AddCommand(kernels)
	return cmd
}

type kernelInstallOptions struct{ from string }

func newKernelInstall(a *app) *cobra.Command {
	o := &kernelInstallOptions{}
	cmd := &cobra.Command{
		Use:   "install [PACKAGE]",
		Short: "Fetch and unpack Debian's kernel, or that of another package",
		Long: "Fetches Debian's stock kernel with apt and keeps what virtual machines need of it\n" +
			"with stack's state. Nothing is installed on this machine. Machines that run keep theirs.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pkg := ""
			if len(args) > 0 {
				pkg = args[0]
			}
			return runKernelInstall(cmd.Context(), a, o, pkg)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "a Debian package of a kernel that is at hand, not to be fetched")
	return cmd
}

func runKernelInstall(ctx context.Context, a *app, o *kernelInstallOptions, pkg string) (err error) {
	if err := a.root(); err != nil {
		return err
	}
	dir, version := a.layout.VM(), ""
	if o.from != "" {
		version, err = kernel.Unpack(ctx, dir, o.from)
	} else {
		version, err = kernel.Install(ctx, dir, pkg, a.stderr)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, version)
	return nil
}

func newKernelShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the version of the kernel that is installed",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := kernel.Find(a.layout.VM(), "")
			if err == nil {
				fmt.Fprintln(a.stdout, k.Version)
			}
			return err
		},
	}
}
