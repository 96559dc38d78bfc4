// Package solve has jobs done: the client of a build server, which it starts when
// there is none, and the progress that people see.
package solve
