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
	Need(t, "docker-registry")
	dir := t.TempDir()
	conf := "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: " + strconv.Quote(dir+"/data") + "}, delete: {enabled: true}}\n"
	conf += "http:\n  addr: 127.0.0.1:0\n"
	s := &Server{}
	if o.TLS {
		s.CA = filepath.Join(dir, "ca.crt")
		makeCertificate(t, s.CA, filepath.Join(dir, "key.pem"))
		conf += "  tls: {certificate: " + strconv.Quote(s.CA) + ", key: " + strconv.Quote(dir+"/key.pem") + "}\n"
	}
	if o.User != "" {
		Need(t, "htpasswd")
		out, err := exec.Command("htpasswd", "-Bbn", "-C", "4", o.User, o.Password).Output()
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "htpasswd"), bytes.TrimSpace(out))
		conf += "auth: {htpasswd: {realm: test, path: " + strconv.Quote(dir+"/htpasswd") + "}}\n"
	}
	write(t, filepath.Join(dir, "config.yml"), []byte(conf))
	cmd := exec.Command("docker-registry", "serve", filepath.Join(dir, "config.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	logs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	s.Addr = listening(t, bufio.NewScanner(logs))
	return s
}

// listening reads the address from the log and the rest of it in the background.
func listening(t testing.TB, logs *bufio.Scanner) string {
	t.Helper()
	pattern := regexp.MustCompile(`listening on ([0-9.:]+)`)
	var said []string
	for logs.Scan() {
		said = append(said, logs.Text())
		if m := pattern.FindSubmatch(logs.Bytes()); m != nil {
			go func() {
				for logs.Scan() {
				}
			}()
			return string(m[1])
		}
	}
	t.Fatalf("the registry ended without listening:\n%s", strings.Join(said, "\n"))
	return ""
}

func makeCertificate(t testing.TB, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
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
