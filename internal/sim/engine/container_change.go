package engine

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
)

func containerKill(c *call) (reply, error) {
	number := 9
	if s := c.query.Get("signal"); s != "" {
		if number = parseSignal(s); number == 0 {
			return reply{}, badRequest("Invalid signal: %s", s)
		}
	}
	box, err := c.e.find(c.name)
	if err != nil {
		api := err.(*apiError)
		return reply{}, fail(api.status, "Cannot kill container: %s: %s", c.name, api.message)
	}
	if box.status == restarting {
		c.e.stopped(box, c.now, box.exitCode)
		return noContent, nil
	}
	if !box.running() {
		return reply{}, conflict("Cannot kill container: %s: Container %s is not running", c.name, box.id)
	}
	c.e.emitContainer(box, c.now, "kill", "signal", strconv.Itoa(number))
	switch {
	case number == 9:
		box.byHand = true
		c.e.stopped(box, c.now, 137)
		c.e.autoRemove(box, c.now)
	case box.status == paused || box.behaviour.IgnoresSIGTERM:
	case number == 15, number == 2, number == parseSignal(box.config.StopSignal):
		// The process ends itself: only a person's stop keeps it from being restarted.
		if delay := box.behaviour.StopDelay.Std(); delay > 0 {
			return reply{}, notModelled("POST /containers/{}/kill with a signal to a container with a stop delay")
		}
		box.byHand = true
		c.e.stopped(box, c.now, box.behaviour.StopExitCode)
		c.e.autoRemove(box, c.now)
	}
	return noContent, nil
}

func containerPause(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	switch box.status {
	case paused:
		return reply{}, conflict("Container %s is already paused", box.id)
	case restarting:
		return reply{}, conflict("Container %s is restarting, wait until the container is running", box.id)
	case running:
	default:
		return reply{}, conflict("Container %s is not running", box.id)
	}
	box.status = paused
	c.e.reschedule()
	c.e.emitContainer(box, c.now, "pause")
	return noContent, nil
}

func containerUnpause(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	if box.status != paused {
		return reply{}, serverError("Container %s is not paused", box.id)
	}
	box.status = running
	c.e.reschedule()
	c.e.emitContainer(box, c.now, "unpause")
	return noContent, nil
}

func containerRename(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	name := strings.TrimPrefix(c.query.Get("name"), "/")
	switch {
	case name == "":
		return reply{}, badRequest("Neither old nor new names may be empty")
	case name == box.name:
		return reply{}, badRequest("Renaming a container with the same name as its current name")
	case !validName().MatchString(name):
		return reply{}, badRequest("Error when allocating new name: Invalid container name (/%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	if err := c.e.nameFree(name); err != nil {
		return reply{}, conflict("Error when allocating new name: %s", err)
	}
	delete(c.e.names, box.name)
	old := box.name
	box.name = name
	c.e.names[name] = box
	c.e.emitContainer(box, c.now, "rename", "oldName", "/"+old)
	return noContent, nil
}

func containerUpdate(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	var up container.UpdateConfig
	if err := c.decode(&up); err != nil {
		return reply{}, err
	}
	if err := checkRestart(up.RestartPolicy); err != nil {
		return reply{}, err
	}
	h := *box.host
	refuse := func(why string) (reply, error) {
		return reply{}, conflict("Cannot update container %s: %s", box.id, why)
	}
	if up.RestartPolicy.Name != "" {
		if h.AutoRemove {
			return refuse("Restart policy cannot be updated because AutoRemove is enabled for the container")
		}
		h.RestartPolicy = up.RestartPolicy
	}
	if up.Memory != 0 {
		if up.Memory < 6<<20 {
			return reply{}, badRequest("Minimum memory limit allowed is 6MB")
		}
		if swap := h.MemorySwap; up.MemorySwap == 0 && up.Memory > swap && swap != -1 {
			return refuse("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
		}
		h.Memory = up.Memory
	}
	if up.MemorySwap != 0 {
		h.MemorySwap = up.MemorySwap
	}
	for _, v := range []struct{ from, to *int64 }{
		{&up.CPUShares, &h.CPUShares},
		{&up.NanoCPUs, &h.NanoCPUs},
		{&up.CPUQuota, &h.CPUQuota},
		{&up.CPUPeriod, &h.CPUPeriod},
		{&up.MemoryReservation, &h.MemoryReservation},
	} {
		if *v.from != 0 {
			*v.to = *v.from
		}
	}
	if up.CpusetCpus != "" {
		h.CpusetCpus = up.CpusetCpus
	}
	if up.PidsLimit != nil {
		h.PidsLimit = up.PidsLimit
	}
	if reflect.DeepEqual(h, *box.host) {
		c.e.silent--
	}
	box.host, box.hostJSON = &h, nil
	c.e.emitContainer(box, c.now, "update")
	return jsonReply(http.StatusOK, struct{ Warnings []string }{[]string{}})
}
