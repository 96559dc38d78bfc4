package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
)

const (
	// attempts is how often something is tried without any progress, with a wait
	// between two that begins at firstWait and doubles.
	attempts  = 5
	firstWait = 200 * time.Millisecond
	// patience ends the attempts to reach a host that does not answer at all.
	patience = 8 * time.Second
	// stall is how long a transfer may stand still before it is begun anew.
	stall = 60 * time.Second
)

// permanent marks an error that trying again does not help.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// retry repeats try while its errors are of the passing kind.
func retry(ctx context.Context, try func() error) error { return retryFor(ctx, patience, try) }

func retryFor(ctx context.Context, patience time.Duration, try func() error) error {
	begun := time.Now()
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == attempts || !passing(err) || errors.As(err, new(unreachable)) && time.Since(begun) > patience {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// pause waits before attempt n+1.
func pause(ctx context.Context, n int) error {
	select {
	case <-time.After(firstWait << (n - 1)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// passing says whether an error may be gone in a moment.
func passing(err error) bool {
	var lost unreachable
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, new(permanent)), errors.As(err, &cert), errors.As(err, &lost) && lost.absent:
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errdefs.IsNotFound(err), errdefs.IsAlreadyExists(err), errdefs.IsInvalidArgument(err), errors.Is(err, docker.ErrInvalidAuthorization):
		return false
	}
	switch s := statusOf(err); {
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests:
		return true
	case s != 0:
		return s >= 500
	}
	return true
}

// statusOf is the HTTP status that an error tells of, or 0.
func statusOf(err error) int {
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		return status.StatusCode
	}
	return 0
}

// redact hides the queries of addresses in an error's text: storage servers are
// reached with signatures in them.
func redact(err error) error {
	var status remoteerrors.ErrUnexpectedStatus
	var request *url.Error
	switch {
	case errors.As(err, &status):
		text := "the registry answers " + status.Status
		var said docker.Errors
		if errors.As(err, &said) {
			text += ": " + said.Error()
		}
		return hidden{text, err}
	case errors.As(err, &request):
		u, perr := url.Parse(request.URL)
		if perr != nil {
			return hidden{request.Err.Error(), err}
		}
		return hidden{fmt.Sprintf("%s %s://%s: %v", request.Op, u.Scheme, u.Host, request.Err), err}
	}
	return err
}

// hidden has a text of its own and can still be asked what it is.
type hidden struct {
	text string
	err  error
}

func (h hidden) Error() string        { return h.text }
func (h hidden) Is(target error) bool { return errors.Is(h.err, target) }

// resumer reads a transfer of known size. When that breaks off or stands still it
// is begun again where it was; only attempts without progress are counted.
type resumer struct {
	ctx      context.Context
	cancel   context.CancelFunc
	open     func(ctx context.Context, at int64) (io.ReadCloser, error)
	at, size int64
	body     io.ReadCloser
	stop     context.CancelFunc // ends the current request
	failed   int
}

func (r *resumer) Read(p []byte) (int, error) {
	for {
		n, err := r.read(p)
		r.at += int64(n)
		if n > 0 {
			r.failed = 0
		}
		switch {
		case err == nil || n > 0:
			return n, nil // an error comes again with the next read
		case err == io.EOF && r.at >= r.size:
			return 0, io.EOF
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		r.drop()
		if r.ctx.Err() != nil {
			return 0, r.ctx.Err()
		}
		// A request of ours that was cancelled stood still.
		stalled := errors.Is(err, context.Canceled)
		if r.failed++; r.failed == attempts || !stalled && !passing(err) {
			return 0, redact(err)
		}
		if err := pause(r.ctx, r.failed); err != nil {
			return 0, err
		}
	}
}

func (r *resumer) read(p []byte) (int, error) {
	if r.body == nil {
		ctx, stop := context.WithCancel(r.ctx)
		body, err := r.open(ctx, r.at)
		if err != nil {
			stop()
			return 0, err
		}
		r.body, r.stop = body, stop
	}
	watch := time.AfterFunc(stall, r.stop)
	defer watch.Stop()
	return r.body.Read(p)
}

func (r *resumer) drop() {
	if r.body != nil {
		r.stop()
		r.body.Close()
		r.body = nil
	}
}

func (r *resumer) Close() error {
	r.drop()
	r.cancel()
	return nil
}
