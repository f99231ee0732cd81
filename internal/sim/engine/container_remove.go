package engine

import (
	"net/http"
)

func containerRemove(c *call) (reply, error) {
	if c.flag("link") {
		return reply{}, notModelled("DELETE /containers/{}?link=1")
	}
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	if box.running() || box.status == restarting {
		if !c.flag("force") {
			state, how := string(box.status), "Stop the container before attempting removal or force remove"
			if box.status == paused {
				how = "Unpause and then stop the container before attempting removal or force remove"
			}
			return reply{}, conflict("You cannot remove a %s container %s. %s", state, box.id, how)
		}
		c.e.emitContainer(box, c.now, "kill", "signal", "9")
		c.e.stopped(box, c.now, 137)
	}
	c.e.forget(box, c.now)
	return noContent, nil
}

func containerPrune(c *call) (reply, error) {
	f, err := c.filters("label", "until")
	if err != nil {
		return reply{}, err
	}
	if len(f["until"]) > 0 {
		return reply{}, notModelled("POST /containers/prune with the filter until")
	}
	out := struct {
		ContainersDeleted []string
		SpaceReclaimed    int64
	}{}
	for _, box := range c.e.ordered() {
		if !box.running() && box.status != restarting && f.labels(box.config.Labels) {
			c.e.forget(box, c.now)
			out.ContainersDeleted = append(out.ContainersDeleted, box.id)
		}
	}
	return jsonReply(http.StatusOK, out)
}
