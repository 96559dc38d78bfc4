package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"stack/runtime/image/registry"
)

type loginOptions struct {
	user, password string
	fromStdin      bool
}

func newLogin(a *app) *cobra.Command {
	o := &loginOptions{}
	cmd := &cobra.Command{
		Use:   "login [SERVER]",
		Short: "Log in to a registry",
		Long: "Checks a user name and password with a registry and keeps them where Docker does:\n" +
			"with the credential helper that config.json names, or in that file, for this user only.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogin(cmd.Context(), a, o, serverArgument(args))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.user, "username", "u", "", "user name")
	f.StringVarP(&o.password, "password", "p", "", "password; others can see it, --password-stdin is safer")
	f.BoolVar(&o.fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin")
	return cmd
}

func runLogin(ctx context.Context, a *app, o *loginOptions, host string) error {
	if o.password != "" {
		fmt.Fprintln(a.stderr, "warning: a password on the command line can be seen by others; use --password-stdin")
	}
	secret, err := o.ask(a)
	if err != nil {
		return err
	}
	settings, err := a.registrySettings()
	if err != nil {
		return err
	}
	if err := registry.Login(ctx, settings, version, host, secret); err != nil {
		return err
	}
	creds, err := registry.LoadCredentials(a.credentialsFile())
	if err != nil {
		return err
	}
	where, err := creds.Store(host, secret)
	if err != nil {
		return err
	}
	if where == a.credentialsFile() {
		fmt.Fprintf(a.stderr, "warning: the password is kept in %s, readable by its owner and root; a credential helper would encrypt it\n", where)
	}
	fmt.Fprintln(a.stdout, "Login Succeeded")
	return nil
}

// ask completes what the flags leave out: from standard input, or on a terminal by
// asking, without showing what is typed as password.
func (o *loginOptions) ask(a *app) (registry.Secret, error) {
	if o.fromStdin {
		if o.user == "" {
			return registry.Secret{}, errors.New("--password-stdin needs --username")
		}
		data, err := io.ReadAll(io.LimitReader(a.stdin, 64<<10))
		if err != nil {
			return registry.Secret{}, fmt.Errorf("cannot read the password: %w", err)
		}
		o.password, err = oneLine(data)
		return registry.Secret{User: o.user, Password: o.password}, err
	}
	if o.user != "" && o.password != "" {
		return registry.Secret{User: o.user, Password: o.password}, nil
	}
	if !isTerminal(a.stdin) {
		return registry.Secret{}, errors.New("cannot ask for a password: standard input is no terminal; use --username and --password-stdin")
	}
	if o.user == "" {
		fmt.Fprint(a.stderr, "Username: ")
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil {
			return registry.Secret{}, fmt.Errorf("cannot read the user name: %w", err)
		}
		o.user = strings.TrimSpace(line)
	}
	if o.password == "" {
		fmt.Fprint(a.stderr, "Password: ")
		data, err := term.ReadPassword(int(a.stdin.(*os.File).Fd()))
		fmt.Fprintln(a.stderr)
		if err != nil {
			return registry.Secret{}, fmt.Errorf("cannot read the password: %w", err)
		}
		o.password = string(data)
	}
	if o.user == "" || o.password == "" {
		return registry.Secret{}, errors.New("a user name and a password are needed")
	}
	return registry.Secret{User: o.user, Password: o.password}, nil
}

func newLogout(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Forget the password of a registry",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			host := serverArgument(args)
			creds, err := registry.LoadCredentials(a.credentialsFile())
			if err != nil {
				return err
			}
			found, err := creds.Erase(host)
			switch {
			case err != nil:
				return err
			case !found:
				fmt.Fprintln(a.stdout, "Not logged in to", host)
			default:
				fmt.Fprintln(a.stdout, "Removing login credentials for", host)
			}
			return nil
		},
	}
}
