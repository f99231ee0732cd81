package serve

import (
	"embed"
	"net/http"
	"path"

	"github.com/mepc/mepc-run/internal/failure"
)

// The page is these files, and needs nothing else.
//
//go:embed page
var page embed.FS

// policy lets the page load its own files alone.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// addPage adds the page and how one signs in to it.
func (s *Server) addPage() {
	file := func(name, kind string) http.HandlerFunc {
		text, err := page.ReadFile(path.Join("page", name))
		if err != nil {
			panic(err) // it is embedded
		}
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy)
			_, _ = w.Write(text) // who does not read it has gone
		}
	}
	s.mux.HandleFunc("GET /{$}", file("index.html", "text/html"))
	s.mux.HandleFunc("GET /page/app.css", file("app.css", "text/css"))
	for _, name := range []string{"app.js", "dom.js", "now.js", "recipes.js", "run.js"} {
		s.mux.HandleFunc("GET /page/"+name, file(name, "text/javascript"))
	}
	s.mux.HandleFunc("POST /page/login", s.handler(route{Open: true, Status: http.StatusNoContent, handle: (*Server).login}))
}

type login struct {
	Token string `json:"token"`
}

// login puts the token into a cookie that no script and no other site gets.
func (s *Server) login(c *call) (any, error) {
	var body login
	if err := c.body(&body); err != nil {
		return nil, err
	}
	if err := protection.Check(c.Request); err != nil {
		return nil, failure.New(failure.Denied, "a page of another site asked for this")
	}
	if !s.isToken(body.Token) {
		return nil, failure.New(failure.Auth, "this is not the server's token")
	}
	http.SetCookie(c.w, &http.Cookie{
		Name: cookieName, Value: body.Token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.TLS != nil, MaxAge: 30 * 24 * 3600,
	})
	return nil, nil
}
