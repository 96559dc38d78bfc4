package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// tokenRegistry is a registry that sends clients to a token server, as Docker's hub
// does. The user is me, the password hunter2, the refresh token refresh.
func tokenRegistry(t *testing.T) (host string) {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method == http.MethodPost {
			user, password = r.FormValue("username"), r.FormValue("password")
		}
		scope := r.FormValue("scope")
		switch {
		case user == "me" && password == "hunter2", r.FormValue("refresh_token") == "refresh":
			scope += "+private"
		case user != "" || password != "" || r.Method == http.MethodPost:
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"token": "for " + scope, "access_token": "for " + scope})
	})
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		private := strings.HasPrefix(r.URL.Path, "/v2/private/")
		scope := "repository:" + map[bool]string{true: "private/r", false: "public/r"}[private] + ":pull"
		if r.URL.Path == "/v2/" {
			scope = ""
		}
		if token == "" || private && token != "for "+scope+"+private" || !strings.HasPrefix(token, "for "+scope) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+srv.URL+`/token",service="test",scope="`+scope+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromString("{}").String())
		w.Header().Set("Content-Length", "2")
		w.Write([]byte("{}"))
	})
	return strings.TrimPrefix(srv.URL, "http://")
}

func TestTokens(t *testing.T) {
	host := tokenRegistry(t)
	for name, c := range map[string]struct {
		secret          Secret
		public, private bool
	}{
		"nobody":         {Secret{}, true, false},
		"password":       {Secret{"me", "hunter2"}, true, true},
		"refresh token":  {Secret{"", "refresh"}, true, true},
		"wrong password": {Secret{"me", "swordfish"}, false, false},
	} {
		for repository, want := range map[string]bool{"public/r": c.public, "private/r": c.private} {
			_, err := client(t, Settings{}, c.secret).Resolve(context.Background(), host+"/"+repository+":v1")
			if (err == nil) != want {
				t.Errorf("%s: %s: %v", name, repository, err)
			}
			if err != nil && (strings.Contains(err.Error(), "swordfish") || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("the error has the password: %v", err)
			}
		}
	}
	if err := Login(context.Background(), Settings{}, "test", host, Secret{"me", "hunter2"}); err != nil {
		t.Error(err)
	}
	if err := Login(context.Background(), Settings{}, "test", host, Secret{"me", "swordfish"}); !errors.Is(err, errDenied) {
		t.Errorf("%v", err)
	}
}
