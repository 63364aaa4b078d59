package scanner

// Served is a [Session] of a probe that knows which service the port table, or
// the operator, takes the port for.
type Served interface {
	// Service is the name of the service, empty if none is known.
	Service() string
}
