package engine

import (
	"fmt"
	"net/http"

	"github.com/mepc/mepc-run/internal/state"
)

// Assumed is the header of an answer that takes something for granted which only
// the world outside knows: it says what, in words, for a plan to show.
const Assumed = "Mepc-Assumed"

// imagePush takes the registry to accept what the engine has.
func imagePush(c *call) (reply, error) {
	if c.req.Header.Get("X-Registry-Auth") == "" {
		return reply{}, badRequest("Bad parameters and missing X-Registry-Auth: EOF")
	}
	name, tag := c.name, c.query.Get("tag")
	if tag != "" {
		name += ":" + tag
	}
	ref, err := normalize(name)
	if err != nil {
		return reply{}, badRequest("%v", err)
	}
	i := c.e.images[c.e.tags[ref]]
	if i == nil {
		return reply{}, notFound("An image does not exist locally with the tag: %s", c.name)
	}
	_, tag = state.SplitTag(ref)
	digest := "sha256:" + hexSum([]byte("manifest "+i.id))
	body := fmt.Sprintf(`{"status":"The push refers to repository [%s]"}`+"\r\n"+`{"status":"%s: digest: %s size: 1"}`+"\r\n"+
		`{"progressDetail":{},"aux":{"Tag":"%s","Digest":"%s","Size":1}}`+"\r\n", c.name, tag, digest, tag, digest)
	c.e.emit(event{at: c.now, kind: "image", action: "push", id: ref, attributes: map[string]string{"name": c.name}})
	return reply{
		status: http.StatusOK, ctype: jsonType, body: []byte(body),
		header: map[string]string{Assumed: ref + " was not pushed: its registry was taken to accept it"},
	}, nil
}

// auth takes the registry to accept the credentials.
func auth(c *call) (reply, error) {
	var req struct {
		Username      string `json:"username"`
		ServerAddress string `json:"serveraddress"`
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	r, err := jsonReply(http.StatusOK, struct{ Status, IdentityToken string }{"Login Succeeded", ""})
	r.header = map[string]string{Assumed: "the login of " + req.Username + " at " + req.ServerAddress + " was not tried: it was taken to succeed"}
	return r, err
}
