package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/vm/wire"
)

// exitFailure is the exit code when there is none of the program's.
const exitFailure = 255

// Main is the monitor; it returns the exit code.
func Main() int {
	m := &monitor{settled: make(chan struct{})}
	code, err := m.run()
	m.replies.Wait()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
	}
	return code
}

// monitor is one machine.
type monitor struct {
	config  Config
	control net.Listener
	qemu    *hypervisor
	port    *wire.Conn
	hello   chan struct{}

	// settled is closed once the program runs, or failed to.
	settled  chan struct{}
	settling sync.Once
	failure  *wire.Failure
	replies  sync.WaitGroup // to who waits for that
}

func (m *monitor) run() (int, error) {
	signals := watchSignals()
	unix.CloseOnExec(ListenFD)
	if err := m.load(); err != nil {
		return exitFailure, err
	}
	go m.serve()
	var err error
	if m.qemu, err = start(m.config); err != nil {
		return m.fail(err)
	}
	defer m.qemu.kill()
	m.hello = make(chan struct{}, 1)
	m.port = wire.New(m.qemu.port, 1, m.accept)
	if code, err := m.boot(signals); err != nil {
		return code, err
	}
	s, err := m.port.Open(wire.Request{Op: wire.OpRun, Machine: &m.config.Machine, Stdin: m.config.Stdin || m.config.Terminal})
	if err != nil {
		return m.fail(m.lost(err))
	}
	return m.attend(s, signals)
}

// load reads what the host wrote for this machine.
func (m *monitor) load() error {
	if err := readJSON(ConfigPath, &m.config); err != nil {
		return err
	}
	if err := readJSON(InterfacesPath, &m.config.Machine.Interfaces); err != nil {
		return err
	}
	for i := range m.config.Machine.Files {
		b, err := os.ReadFile(filepath.Join(FilesDir, strconv.Itoa(i)))
		if err != nil {
			return fmt.Errorf("cannot read the machine's files: %w", err)
		}
		m.config.Machine.Files[i].Content = b
	}
	f := os.NewFile(ListenFD, "control")
	defer f.Close()
	var err error
	m.control, err = net.FileListener(f)
	return err
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("cannot read the machine's configuration: %w", err)
	}
	return nil
}

// boot waits for the guest's first words.
func (m *monitor) boot(signals <-chan os.Signal) (int, error) {
	timer := time.NewTimer(m.config.Boot)
	defer timer.Stop()
	for {
		select {
		case <-m.hello:
			return 0, nil
		case sig := <-signals:
			if n, ends := endsBoot(sig); ends {
				m.settle(&wire.Failure{Text: "the machine was stopped while it booted"})
				return 128 + n, errors.New("the machine was stopped while it booted")
			}
		case <-m.port.Done():
			return m.fail(m.lost(m.port.Err()))
		case <-timer.C:
			return m.fail(fmt.Errorf("the machine's kernel did not come up within %v%s", m.config.Boot, m.qemu.lastWords()))
		}
	}
}

// attend copies streams and signals until the program ends.
func (m *monitor) attend(s *wire.Stream, signals <-chan os.Signal) (int, error) {
	r := newRelay(s, m.config.Stdin, m.config.Terminal)
	go func() {
		for sig := range signals {
			if n, ends := endsBoot(sig); ends && !m.isSettled() {
				m.qemu.kill()
				os.Exit(128 + n)
			}
			r.signal(sig)
		}
	}()
	exit, failure, err := r.run(func() { m.settle(nil) })
	switch {
	case failure != nil:
		m.settle(failure)
		m.qemu.powerOff()
		return failureCode(failure), failure.Err()
	case err != nil:
		return m.fail(m.lost(m.port.Err()))
	}
	m.qemu.powerOff()
	return exit.Code, nil
}

func failureCode(f *wire.Failure) int {
	var step *runtime.StepError
	if errors.As(f.Err(), &step) {
		return step.ExitCode()
	}
	return exitFailure
}

// fail settles with an error and gives the exit code that goes with it.
func (m *monitor) fail(err error) (int, error) {
	m.settle(&wire.Failure{Text: err.Error()})
	code := exitFailure
	if m.qemu != nil {
		code = m.qemu.code()
	}
	return code, err
}

// lost explains the end of the connection to the guest.
func (m *monitor) lost(err error) error {
	if ended := m.qemu.explain(); ended != nil {
		return ended
	}
	return fmt.Errorf("lost the machine: %w%s", err, m.qemu.lastWords())
}

// settle decides the outcome of the start, once.
func (m *monitor) settle(f *wire.Failure) {
	m.settling.Do(func() {
		m.failure = f
		close(m.settled)
	})
}

func (m *monitor) isSettled() bool {
	select {
	case <-m.settled:
		return true
	default:
		return false
	}
}
