// Package registry talks to image registries: the OCI distribution specification
// and Docker's schema 2, over containerd's client. What it adds is the surroundings
// that people have already: Docker's config.json with its credential helpers,
// certs.d directories, mirrors, and retries that go on where a transfer broke off.
//
//	Settings (a file of the administrator) ─┐
//	Credentials (config.json, helpers) ─────┼─▶ Client ─▶ Resolve, Fetch, Push, Login
//	                             TLS roots ─┘
//
// It imports none of our packages; package image uses it through an interface, so
// that the controller, which never pulls, runs nothing of this. No error or log
// line has a password, a token or the query of an address.
package registry
