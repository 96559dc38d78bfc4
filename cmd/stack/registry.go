package main

import (
	"cmp"
	"fmt"
	"strings"

	"stack/runtime/image/registry"
)

// registry opens the way to registries as this user has it set up.
func (a *app) registry() (*registry.Client, error) {
	settings, err := a.registrySettings()
	if err != nil {
		return nil, err
	}
	creds, err := registry.LoadCredentials(a.credentialsFile())
	if err != nil {
		return nil, err
	}
	return registry.New(settings, version, creds.Lookup), nil
}

func (a *app) registrySettings() (registry.Settings, error) {
	return registry.LoadSettings(a.settingsFile())
}

func (a *app) settingsFile() string {
	return cmp.Or(a.getenv("STACK_REGISTRIES"), registry.DefaultSettings)
}

// credentialsFile is Docker's config.json. Who came to root by sudo has logged in
// there, not as the user from before.
func (a *app) credentialsFile() string { return registry.ConfigFile(a.getenv) }

// serverArgument is the host that login and logout mean.
func serverArgument(args []string) string {
	if len(args) == 0 {
		return "docker.io"
	}
	host := strings.TrimPrefix(strings.TrimPrefix(args[0], "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}

// oneLine reads a password that stands alone on standard input.
func oneLine(data []byte) (string, error) {
	s := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if s == "" {
		return "", fmt.Errorf("no password on standard input")
	}
	return s, nil
}
