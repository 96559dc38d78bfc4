// Package registrytest starts Debian's docker-registry on loopback for tests.
package registrytest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Options say what the registry demands.
type Options struct {
	TLS            bool
	User, Password string
}

// Server is a running registry.
type Server struct {
	Addr string // 127.0.0.1:PORT
	// CA is the certificate to trust, a PEM file; "" without TLS.
	CA string

	cmd *exec.Cmd
}

// Need skips a test for want of a program; in CI that is a failure.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("STACK_TEST_STRICT") != "" {
			t.Fatalf("this test needs %s; .ci/deps installs it", p)
		}
		t.Skipf("skipped: this test needs %s", p)
	}
}

// Start runs a registry until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	Need(t, "docker-registry", "htpasswd")
	s, err := Launch(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch runs a registry that keeps everything in dir.
func Launch(dir string, o Options) (*Server, error) {
	s := &Server{}
	conf, err := s.configure(dir, o)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.Command("docker-registry", "serve", name)
	logs, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	if s.Addr, err = listening(bufio.NewScanner(logs)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the registry.
func (s *Server) Close() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *Server) configure(dir string, o Options) (string, error) {
	quoted := func(name string) string { return strconv.Quote(filepath.Join(dir, name)) }
	conf := "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: " + quoted("data") + "}, delete: {enabled: true}}\n"
	conf += "http:\n  addr: 127.0.0.1:0\n"
	if o.TLS {
		s.CA = filepath.Join(dir, "ca.crt")
		if err := makeCertificate(s.CA, filepath.Join(dir, "key.pem")); err != nil {
			return "", err
		}
		conf += "  tls: {certificate: " + quoted("ca.crt") + ", key: " + quoted("key.pem") + "}\n"
	}
	if o.User != "" {
		out, err := exec.Command("htpasswd", "-Bbn", "-C", "4", o.User, o.Password).Output()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "htpasswd"), bytes.TrimSpace(out), 0o600)
		}
		if err != nil {
			return "", err
		}
		conf += "auth: {htpasswd: {realm: test, path: " + quoted("htpasswd") + "}}\n"
	}
	return conf, nil
}

// listening reads the address from the log and the rest of it in the background.
func listening(logs *bufio.Scanner) (string, error) {
	pattern := regexp.MustCompile(`listening on ([0-9.:]+)`)
	var said []string
	for logs.Scan() {
		line := logs.Text() // its own copy: the goroutine reads on
		said = append(said, line)
		if m := pattern.FindStringSubmatch(line); m != nil {
			go func() {
				for logs.Scan() {
				}
			}()
			return m[1], nil
		}
	}
	return "", fmt.Errorf("the registry ended without listening:\n%s", strings.Join(said, "\n"))
}

func makeCertificate(cert, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test registry"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}

// Run runs a program and fails the test with its output unless it succeeds.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", fmt.Sprint(append([]string{name}, args...)), err, out)
	}
	return string(out)
}
