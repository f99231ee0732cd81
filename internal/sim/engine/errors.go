package engine

import (
	"fmt"
	"net/http"

	"github.com/mepc/mepc-run/internal/state"
)

// apiError is an error as the Engine API answers it.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func notFound(format string, args ...any) error { return fail(http.StatusNotFound, format, args...) }

func badRequest(format string, args ...any) error {
	return fail(http.StatusBadRequest, format, args...)
}

func conflict(format string, args ...any) error { return fail(http.StatusConflict, format, args...) }

func forbidden(format string, args ...any) error { return fail(http.StatusForbidden, format, args...) }

func serverError(format string, args ...any) error {
	return fail(http.StatusInternalServerError, format, args...)
}

func fail(status int, format string, args ...any) error {
	return &apiError{status, fmt.Sprintf(format, args...)}
}

func noSuchContainer(name string) error { return notFound("No such container: %s", name) }

func notModelled(format string, args ...any) error {
	return fail(http.StatusNotImplemented, state.NotModelled+format, args...)
}
