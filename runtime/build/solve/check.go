package solve

import (
	"context"
	"errors"

	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"stack/runtime/build"
)

// check looks for faults in a Dockerfile, without building. What it finds becomes
// the error.
func (r *run) check(ctx context.Context, q build.Request, contexts map[string]string) error {
	opt, err := options(q, contexts, r.job)
	if err != nil {
		return err
	}
	frontend, attrs := opt.Frontend, opt.FrontendAttrs
	var text, code string
	status, logs := r.display.attach(q.Service)
	_, err = r.client.Build(ctx, opt, "", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		res, err := c.Solve(ctx, gateway.SolveRequest{Frontend: frontend, FrontendOpt: attrs})
		if err != nil {
			return nil, err
		}
		text, code = string(res.Metadata["result.txt"]), string(res.Metadata["result.statuscode"])
		return gateway.NewResult(), nil
	}, status)
	logs.wait()
	if err != nil {
		return r.display.explain(err, q.Service, logs)
	}
	if code != "" && code != "0" || text != "" {
		return errors.New("target " + q.Service + ": " + text)
	}
	return nil
}
