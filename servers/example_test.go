package servers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

type page struct{ servers servers.Access }

type readArgs struct {
	URL string `lua:"url,pos,required,target" doc:"which page"`
}

func (p *page) read(ctx context.Context, a *readArgs) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := servers.Send(&http.Client{Transport: p.servers.Transport()}, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// A module takes its connections from Access, and can be rehearsed.
func ExampleAccess() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer site.Close()
	host := runtime.New(runtime.Options{Modules: []runtime.Module{{
		Name: "page", Doc: "Pages.", Self: runtime.PerRun(func(a servers.Access) *page { return &page{a} }),
		Funcs: []runtime.Func{{Name: "read", Class: runtime.Read, Doc: "Reads a page.", Call: runtime.Effect((*page).read)}},
	}}})
	recipe, err := host.LoadString("r.lua", fmt.Sprintf("return page.read(%q)", site.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	clients := servers.Live(servers.Options{})
	defer clients.Close()
	res, err := host.Run(context.Background(), recipe, runtime.RunOptions{World: clients})
	fmt.Println(res.Value, err)
	// Output: hello <nil>
}
