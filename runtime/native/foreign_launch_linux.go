package native

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// Launcher is the program that a foreign runtime executes instead of p's: it becomes
// p's, with no signal ignored or blocked, after it has become a reaper if asked, and
// tells descriptor report what failed. With wait it reads a byte from there before. It is to be descriptor image of
// the process. steps are for Explain.
func (f *Foreign) Launcher(p *specs.Process, init, wait bool, image, report int) (program *os.File, steps []byte, err error) {
	b := newBuilder()
	b.ReportTo(stub.Int(report))
	b.prctl("set the process's name", unix.PR_SET_NAME, b.String("stack-init"))
	b.hide()
	b.resetSignals() // runc and crun leave those from 32 on as they are
	b.signalMask(b.zeros).AllowAny()
	b.closeRange("close the launcher", image, uint32(image), 0)
	b.closeRange("mark descriptors close-on-exec", report, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	if wait {
		b.awaitByte(stub.Int(report))
	}
	if init {
		b.reaper(p.Terminal)
	}
	b.execute(p)
	elf, table, err := b.ELF()
	if err != nil {
		return nil, nil, err
	}
	if steps, err = json.Marshal(table); err != nil {
		return nil, nil, fmt.Errorf("cannot encode the launcher's steps: %w", err)
	}
	program, err = stub.Open(elf, os.TempDir(), "/dev/shm", "/var/tmp")
	return program, steps, err
}

// awaitByte reads one byte; without any the caller is dead, and so is the process.
func (b *builder) awaitByte(fd stub.Arg) {
	n, more := b.Slot(), b.Label()
	again := b.Here()
	b.Call("wait for the caller", unix.SYS_READ, fd, b.word, stub.Int(1)).Into(n).Allow(unix.EINTR).Else(again)
	b.If(n, stub.Int(1), more)
	b.leave(stub.Int(1))
	b.Place(more)
}

// Explain is the failure that a launcher told, nil when it told nothing.
func (f *Foreign) Explain(steps, said []byte) error {
	failure, ok := stub.ParseFailure(said)
	if !ok {
		return nil
	}
	var table stub.Table
	if err := json.Unmarshal(steps, &table); err != nil {
		return fmt.Errorf("cannot read the launcher's steps: %w", err)
	}
	return stepError(table, failure)
}
