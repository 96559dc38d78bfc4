package main

// entry is where the kernel starts this program when it is linked with
// -ldflags=-E=main.entry, as the Makefile does. As the OCI runtime is started for
// every container, `stack oci` cannot afford the 10 ms that the packages of the
// other verbs take to initialise before main: entry executes stack-shim, found
// beside this program, before even Go's runtime begins. Everything else, and an
// execve that fails, goes on to the usual start; execOCI does the same there.
//
//lint:ignore U1000 the linker's
func entry()
