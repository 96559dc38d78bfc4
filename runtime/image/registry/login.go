package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

var errDenied = errors.New("the user name or password is wrong")

// ping asks for a registry's base address (end-1 of the distribution
// specification), with credentials once it wants some.
func ping(ctx context.Context, h docker.RegistryHost) error {
	var answers []*http.Response
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Scheme+"://"+h.Host+h.Path+"/", nil)
		if err != nil {
			return err
		}
		req.Header = h.Header.Clone()
		if err := h.Authorizer.Authorize(ctx, req); err != nil {
			return denied(err)
		}
		resp, err := h.Client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusOK:
			return nil
		case resp.StatusCode != http.StatusUnauthorized:
			return fmt.Errorf("the registry answers %s", resp.Status)
		case len(answers) > 0:
			return errDenied
		}
		answers = append(answers, resp)
		if err := h.Authorizer.AddResponses(ctx, answers); err != nil {
			return denied(err)
		}
	}
}

func denied(err error) error {
	if errors.Is(err, docker.ErrInvalidAuthorization) || statusOf(err) == http.StatusUnauthorized {
		return errDenied
	}
	return err
}
